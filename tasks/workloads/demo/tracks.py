"""Demo tracks whose truth is known: what each is expected to be worth, what was broken, where a trend turns.

Genres have a sound of their own, artists a place within their genre and a following; dance music sounds livelier every
summer, and from ``TURN`` on rock is quieter than before. How a table is judged is the contract's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.errors import BadRequest
from tasks.workloads.demo.planting import choose, labels, place_faults

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRIFTS: Mapping[str, str] = MappingProxyType(
    {
        "shift": "every track is livelier and louder; every relation holds",
        "nulls": "10 % more of genre, key and day of release are missing",
        "unit": "lengths are written in seconds instead of milliseconds",
        "concept": "what can be danced to is no longer liked",
    }
)
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "duplicate_track": "carries the track_id of another row; both rows are marked",
        "above_one": "danceability above 1",
        "endless": "longer than an hour",
        "popularity_above_100": "more popular than there are points",
        "no_artist": "nobody plays it",
        "unparseable_number": "energy is text that is no number",
    }
)

SEEN = "2024-01-01"
FIRST_MONTH, MONTHS = np.datetime64("2000-01"), 288
TURN = np.datetime64("2012-01")
SUMMER, QUIETER = 0.12, 0.20
TRACKS_PER_ARTIST = 5

# Genre → (share, danceability, energy, loudness, speechiness, acousticness, instrumentalness, valence, BPM,
# popularity).
GENRES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "pop": (0.24, 0.64, 0.66, -6.5, 0.07, 0.22, 0.03, 0.52, 118, 52),
        "rock": (0.20, 0.50, 0.74, -7.5, 0.06, 0.15, 0.08, 0.50, 126, 43),
        "rap": (0.18, 0.74, 0.65, -7.0, 0.24, 0.17, 0.02, 0.50, 112, 49),
        "dance": (0.14, 0.68, 0.80, -6.0, 0.08, 0.08, 0.25, 0.46, 126, 42),
        "r&b": (0.12, 0.66, 0.55, -8.0, 0.11, 0.30, 0.03, 0.50, 108, 45),
        "classical": (0.12, 0.32, 0.22, -19.0, 0.05, 0.88, 0.70, 0.28, 102, 28),
    }
)
DANCEABILITY, ENERGY, LOUDNESS, SPEECH, ACOUSTIC, INSTRUMENTAL, VALENCE, BPM, LIKED = range(1, 10)


@dataclass(frozen=True)
class Drawn:
    """The drawn tracks, one value per row, before anything is broken; ``expected`` is popularity without noise."""

    genre: Ints
    artist: Ints
    month: Ints
    sound: Mapping[str, Floats]
    expected: Floats
    popularity: Floats
    chance: Floats
    hit: Ints


def generate(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return *rows* tracks as a source writes them, faults included; raises BadRequest.

    The same arguments give the same frame. *drift* is a key of ``DRIFTS``.
    """
    drawn, fault = _draw(rows, seed, drift)
    return _written(drawn, fault, np.random.Generator(np.random.PCG64([seed, 2])), drift)


def truth(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return what was planted in each row of ``generate(rows, seed, drift)``, in the same order.

    ``fault`` is a key of ``FAULTS`` or empty; ``expected_popularity`` is without noise, ``chance_of_hit`` the chance.
    """
    drawn, fault = _draw(rows, seed, drift)
    columns = {"fault": fault, "expected_popularity": drawn.expected, "chance_of_hit": drawn.chance}
    return pl.DataFrame(columns, schema_overrides={"fault": pl.String})


def _draw(rows: int, seed: int, drift: str | None) -> tuple[Drawn, npt.NDArray[np.object_]]:
    if rows < 1:
        raise BadRequest(f"demo rows of tracks: {rows} were asked for, at least 1 is needed")
    if drift is not None and drift not in DRIFTS:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in DRIFTS.items())
        raise BadRequest(f"there is no drift {drift!r} for tracks; choose one of: {known}")
    fault = place_faults(rows, np.random.Generator(np.random.PCG64([seed, 1])), FAULTS)
    return _tracks(rows, np.random.Generator(np.random.PCG64(seed)), drift), fault


def _tracks(rows: int, rng: np.random.Generator, drift: str | None) -> Drawn:
    artists = max(1, rows // TRACKS_PER_ARTIST)
    # A few artists have many tracks, most have a few.
    artist = np.minimum((rng.random(rows) ** 1.6 * artists).astype(np.int64), artists - 1)
    genre = choose(rng, artists, [share for share, *_ in GENRES.values()])[artist]
    place, following = rng.normal(0, 0.5, (artists, 3))[artist], rng.normal(0, 6, artists)[artist]
    month = rng.integers(0, MONTHS, rows)
    sound = _sound(genre, place, month, rng, drift)
    expected = np.clip(_liking(genre, sound, month, drift) + following, 1, 99)
    popularity = np.clip(expected + rng.normal(0, 9, rows), 0, 100).round()
    chance = 1 / (1 + np.exp(-(expected - 48) / 6))
    return Drawn(genre, artist, month, sound, expected, popularity, chance, (rng.random(rows) < chance).astype(int))


def _sound(genre: Ints, place: Floats, month: Ints, rng: np.random.Generator, drift: str | None) -> dict[str, Floats]:
    table, rows = np.array(list(GENRES.values())), genre.size
    names = list(GENRES)
    summer = np.where(genre == names.index("dance"), SUMMER * np.cos(2 * np.pi * (month % 12 - 6) / 12), 0.0)
    quieter = np.where((genre == names.index("rock")) & (month >= (TURN - FIRST_MONTH).astype(int)), QUIETER, 0.0)
    livelier = 0.12 if drift == "shift" else 0.0

    def share(column: int, spread: float, moved: Floats | float = 0.0) -> Floats:
        drawn: Floats = np.clip(table[genre, column] + moved + rng.normal(0, spread, rows), 0.001, 0.999)
        return drawn

    energy = share(ENERGY, 0.10, 0.08 * place[:, 0] + summer - quieter + livelier)
    louder = 6 * (energy - table[genre, ENERGY]) + 1.5 * place[:, 0]
    return {
        "danceability": share(DANCEABILITY, 0.10, 0.08 * place[:, 1]),
        "energy": energy,
        "loudness": table[genre, LOUDNESS] + louder + rng.normal(0, 1.5, rows),
        "speechiness": share(SPEECH, 0.03),
        "acousticness": share(ACOUSTIC, 0.10, -0.08 * place[:, 0]),
        "instrumentalness": share(INSTRUMENTAL, 0.05),
        "liveness": share(SPEECH, 0.10, 0.1),
        "valence": share(VALENCE, 0.16, 0.1 * place[:, 2]),
        "tempo": np.clip(table[genre, BPM] + rng.normal(0, 18, rows), 50, 220),
        "duration_ms": np.clip(rng.lognormal(np.log(215_000), 0.22, rows), 60_000, 900_000).round(),
    }


def _liking(genre: Ints, sound: Mapping[str, Floats], month: Ints, drift: str | None) -> Floats:
    table = np.array(list(GENRES.values()))
    danced = -45.0 if drift == "concept" else 45.0
    liking: Floats = (
        table[genre, LIKED]
        + danced * (sound["danceability"] - table[genre, DANCEABILITY])
        + 30 * (sound["energy"] - 0.6)
        + 8 * (month / MONTHS - 0.5)
        - 12 * np.abs(np.log(sound["duration_ms"] / 210_000))
    )
    return liking


def _written(drawn: Drawn, fault: npt.NDArray[np.object_], rng: np.random.Generator, drift: str | None) -> pl.DataFrame:
    rows, gone = drawn.genre.size, 0.10 if drift == "nulls" else 0.0
    day = (FIRST_MONTH + drawn.month).astype("datetime64[D]") + rng.integers(0, 28, rows)
    frame = pl.DataFrame(
        {
            "track_id": [f"track-{number:07d}" for number in range(rows)],
            "track_name": [f"Song {number}" for number in range(rows)],
            "observed_at": [SEEN] * rows,
            "artist": [f"Artist {number}" for number in drawn.artist],
            "genre": _with_gaps(labels(tuple(GENRES), drawn.genre), 0.02 + gone, rng),
            "release_date": _with_gaps(pl.Series(day).cast(pl.String), 0.02 + gone, rng),
            "decade": day.astype("datetime64[Y]").astype(int) // 10 * 10 + 1970,
            **{name: np.round(values, 4) for name, values in drawn.sound.items()},
            "key": _with_gaps(pl.Series(rng.integers(0, 12, rows)), 0.03 + gone, rng),
            "mode": (rng.random(rows) < 0.6).astype(int),
            "time_signature": np.where(rng.random(rows) < 0.93, 4, 3),
            "sections": rng.integers(5, 16, rows),
            "popularity": drawn.popularity,
            "hit": drawn.hit,
        }
    )
    if drift == "unit":
        frame = frame.with_columns(pl.col("duration_ms") / 1_000)
    return _broken(frame, fault)


def _with_gaps(values: pl.Series, share: float, rng: np.random.Generator) -> pl.Series:
    return values.set(pl.Series(rng.random(values.len()) < share), None)


def _broken(frame: pl.DataFrame, fault: npt.NDArray[np.object_]) -> pl.DataFrame:
    """Break the rows as planned; duplicates are pairs, in the order of the rows."""
    kind = pl.Series("fault", fault, dtype=pl.String)
    twins = np.flatnonzero(fault == "duplicate_track")
    own = frame["track_id"].to_numpy().copy()
    own[twins[1::2]] = own[twins[0 : len(twins) // 2 * 2 : 2]]
    broken = {
        "danceability": ("above_one", pl.col("danceability") + 1.0),
        "duration_ms": ("endless", pl.lit(5.4e6)),
        "popularity": ("popularity_above_100", pl.col("popularity") + 101),
        "artist": ("no_artist", pl.lit(None, pl.String)),
    }
    ruined = [pl.when(kind == name).then(made).otherwise(pl.col(to)).alias(to) for to, (name, made) in broken.items()]
    text = pl.when(kind == "unparseable_number").then(pl.lit("quite a lot"))
    energy = text.otherwise(pl.col("energy").cast(pl.String)).alias("energy")
    return frame.with_columns(pl.Series("track_id", own, dtype=pl.String), energy, *ruined)
