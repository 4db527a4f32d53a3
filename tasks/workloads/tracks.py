"""Tracks: how popular a track is and whether it becomes a hit, from what it sounds like, from one row per track.

Feast objects: feature_repo/tracks.py. Contract: expectations/tracks.py. Demo rows: demo/tracks.py. A source with only
one of the two targets trains that one. Lyrics and names say nothing here: only sound, genre and time do.
"""

from __future__ import annotations

import polars as pl

from tasks.workloads.demo.tracks import generate
from tasks.workloads.likeness import Likeness
from tasks.workloads.spec import Candidate, Column, Feature, Holdout, Slice, Target, Threshold, Workload

MINUTE_MS = 60_000.0
# Whoever stands after it is a guest. What joins by "&" or a comma may be one name (Earth, Wind & Fire).
GUESTS = r"(?i)\s+[(\[]?(?:featuring\s|feat[.\s]|ft[.\s])\s*\S.*$"
# What a person would go by: danceable, lively, sung, and no longer than a radio plays.
OF_A_HIT: tuple[Threshold, ...] = (
    ("danceability", "high", 0.5),
    ("energy", "high", 0.5),
    ("loudness", "high", -12.0),
    ("instrumentalness", "low", 0.05),
    ("minutes", "low", 5.0),
)


def derive(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Turn accepted tracks into features, each from its own row alone.

    A tempo of zero is one that was not found. A track whose day is not known still has its decade.
    """
    tempo = pl.col("tempo").cast(pl.Float64)
    day = pl.col("released_at")
    return rows.with_columns(
        minutes=pl.col("duration_ms").cast(pl.Float64) / MINUTE_MS,
        bpm=pl.when(tempo > 0).then(tempo),
        pitch=pl.col("key").cast(pl.String),
        scale=pl.when(pl.col("mode") == 1).then(pl.lit("major")).when(pl.col("mode") == 0).then(pl.lit("minor")),
        beats=pl.col("time_signature").cast(pl.String),
        section_count=pl.col("sections").cast(pl.Float64),
        release_decade=pl.coalesce(day.dt.year() // 10 * 10, pl.col("decade")).cast(pl.Float64),
        release_month=day.dt.month().cast(pl.Float64),
    )


def lead(artist: pl.Expr) -> pl.Expr:
    """Return whose track it is: the *artist* before any guests, its blanks collapsed."""
    return artist.str.replace_all(r"\s+", " ").str.strip_chars().str.replace(GUESTS, "")


def _share(name: str, meaning: str) -> Column:
    return Column(name, "float", meaning, "0 to 1", required=True)


SHARES = {
    "danceability": "how well one can dance to it",
    "energy": "how intense and lively it is",
    "speechiness": "how much of it is spoken",
    "acousticness": "how sure it is played on acoustic instruments",
    "instrumentalness": "how sure it is that nobody sings",
    "liveness": "how sure an audience is heard",
    "valence": "how cheerful it sounds",
}

TRACKS = Workload(
    name="tracks",
    title="Music tracks",
    entity="track_id",
    event_time="observed_at",
    derive=derive,
    generate=generate,
    columns=(
        Column("track_id", "text", "the track's own name, unique", aliases=("uri", "id", "spotify_id"), required=True),
        Column("track", "text", "its title", aliases=("track_name", "title", "name")),
        Column("artist", "text", "who plays it", aliases=("track_artist", "artists", "artist_name"), required=True),
        Column("observed_at", "datetime", "when the row was seen", aliases=("snapshot_date", "date_utc")),
        Column(
            "released_at",
            "datetime",
            "day of its release",
            aliases=("track_album_release_date", "release_date", "album_release_date"),
        ),
        Column("decade", "int", "decade of its release", "year", aliases=("decade_of_release",)),
        Column("genre", "category", "its genre", aliases=("playlist_genre", "track_genre")),
        *(_share(name, meaning) for name, meaning in SHARES.items()),
        Column("loudness", "float", "mean loudness", "dB", required=True),
        Column("tempo", "float", "beats per minute, 0 where none was found", "BPM", required=True),
        Column("duration_ms", "float", "length", "ms", aliases=("duration",), required=True),
        Column("key", "int", "pitch class it is in", "0 = C to 11 = B", sentinels=(-1.0,)),
        Column("mode", "int", "1 is major, 0 is minor"),
        Column("time_signature", "int", "beats in a bar"),
        Column("sections", "int", "sections the track falls into", "sections"),
        Column("popularity", "float", "how much it is played today", "0 to 100", aliases=("track_popularity",)),
        Column("hit", "int", "1 if it was in the weekly charts, else 0", "0 or 1", aliases=("target", "is_hit")),
    ),
    features=(
        *(Feature(name, "float", meaning, "0 to 1") for name, meaning in SHARES.items()),
        Feature("loudness", "float", "mean loudness", "dB"),
        Feature("bpm", "float", "beats per minute; none found is missing", "BPM"),
        Feature("minutes", "float", "length", "minutes"),
        Feature("pitch", "category", "pitch class it is in"),
        Feature("scale", "category", "major or minor"),
        Feature("beats", "category", "beats in a bar"),
        Feature("section_count", "float", "sections the track falls into", "sections"),
        Feature("genre", "category", "its genre"),
        Feature("release_decade", "float", "decade of its release", "year"),
        Feature("release_month", "float", "month of its release", "1 to 12"),
    ),
    targets=(
        Target(
            *("popularity", "popularity", "how much it is played today", "points", "identity"),
            rule=OF_A_HIT,
            limits=(0, 100),
        ),
        Target("hit", "hit", "chance that it is in the weekly charts", "chance", "chance", rule=OF_A_HIT),
    ),
    always_known=(*SHARES, "loudness", "bpm", "minutes"),
    candidates=(
        Candidate("hist_gradient_boosting", {"rounds": 120, "learning_rate": 0.1, "leaves": 12}),
        Candidate("xgboost", {"rounds": 200, "depth": 4, "learning_rate": 0.1}),
        Candidate("random_forest", {"trees": 40, "min_leaf": 3}),
        Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}),
    ),
    # An artist's tracks resemble each other in more than their sound: they stay on one side together, guests or none.
    holdout=Holdout(share=0.2, folds=4, repeats=1, within="artist", goes_by=lead),
    group="genre",
    likeness=Likeness(
        features=(*SHARES, "loudness", "bpm", "minutes"),
        shown=("track", "artist", "genre"),
        styles=("artist", "genre"),
        moment="released_at",
        trend="genre",
    ),
    slices=(
        Slice("genre", "genre"),
        Slice(
            "decade",
            "release_decade",
            (1970, 1980, 1990, 2000, 2010, 2020),
            ("before 1970", "1970s", "1980s", "1990s", "2000s", "2010s", "since 2020"),
        ),
    ),
)
