"""The contract of tracks: what a table of tracks must look like before anything learns from it.

The reasons are part of the contract: they stand on the page beside each count. Row rules look at the row alone, never
at the clock, so that one snapshot always splits the same way. A missing value breaks nothing but the rules on presence.
No target must be there: a source with only one of them trains that one, so a target without labels is a warning.
"""

from __future__ import annotations

from expectations.contract import (
    EVERY_CELL_READ,
    NOT_BLANK,
    AsOf,
    Suite,
    Type,
    between,
    matches,
    mostly_present,
    newest,
    present,
    table_of,
    unique,
)

SHARES = (
    *("danceability", "energy", "speechiness", "acousticness"),
    *("instrumentalness", "liveness", "valence"),
)
SOUNDS = (*SHARES, "loudness", "tempo", "duration_ms")
COLUMNS: dict[str, Type] = {
    "track_id": "text",
    "track": "text",
    "artist": "text",
    "observed_at": "datetime",
    "released_at": "datetime",
    "decade": "int",
    "genre": "text",
    **dict.fromkeys(SHARES, "float"),
    "loudness": "float",
    "tempo": "float",
    "duration_ms": "float",
    "key": "int",
    "mode": "int",
    "time_signature": "int",
    "sections": "int",
    "popularity": "float",
    "hit": "int",
    "_row": "int",
    "_unparsed": "text",
}

TABLE = (
    *table_of(COLUMNS),
    mostly_present("track_id", 0.95, "rows without their track cannot be joined to features", "critical"),
    mostly_present("artist", 0.95, "tracks are kept apart by artist, so that none is learned and judged", "critical"),
    *(mostly_present(column, 0.9, "its sound is all there is to go by", "critical") for column in SOUNDS),
    *(
        mostly_present(target, 0.05, "a target without labels is not trained; the other is, and the page says so")
        for target in ("popularity", "hit")
    ),
    newest(
        "not_stale",
        "observed_at",
        "popularity is of the day it was read: more than 400 days later it says what was liked then",
        earliest=AsOf(-400),
    ),
    newest(
        "not_in_the_future",
        "observed_at",
        "a row seen tomorrow has a broken clock",
        latest=AsOf(1),
        severity="critical",
    ),
)

IDENTITY = (
    EVERY_CELL_READ,
    present("track_present", "track_id", "a row without its track is nobody's"),
    present("artist_present", "artist", "without its artist a track cannot be kept on one side of the split"),
    matches("artist_not_blank", "artist", NOT_BLANK, "a blank is nobody"),
    unique(
        "track_is_there_once",
        ("track_id", "observed_at"),
        "two rows of one track seen at one moment: which is right cannot be told, so both are held back",
    ),
)

SOUND = (
    *(between(f"{name}_is_a_share", name, "the source measures it from 0 to 1", low=0, high=1) for name in SHARES),
    between("loudness_possible", "loudness", "from silence to just above full scale", low=-60, high=6),
    between("tempo_possible", "tempo", "0 is none found; nobody plays faster than 300", low=0, high=300),
    between(
        "length_of_a_track",
        "duration_ms",
        "from a jingle's half minute to twenty minutes; a longer one is a mix or a concert, a shorter one a cut",
        low=30_000,
        high=1_200_000,
    ),
    between("key_is_a_pitch", "key", "twelve pitch classes; none found is missing", low=0, high=11),
    between("mode_is_one_of_two", "mode", "major is 1, minor is 0", low=0, high=1),
)

LABELS = (
    between("popularity_in_points", "popularity", "points from 0 to 100", low=0, high=100),
    between("hit_or_not", "hit", "1 was in the charts, 0 was not", low=0, high=1),
    between("decade_of_records", "decade", "before 1900 nothing was recorded", low=1900, high=2100),
)

SUITE = Suite("tracks", (*TABLE, *IDENTITY, *SOUND, *LABELS))
