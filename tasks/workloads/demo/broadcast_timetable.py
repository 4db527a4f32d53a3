"""A week to be filled for the demo airings: slots of one network, every programme of that world, some new, and a plan.

The airings themselves are broadcast.py; the columns are those docs/timetable.md names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl

from tasks.workloads.demo.broadcast import LAST_DAY, generate
from tasks.workloads.demo.broadcast_world import EVENING, GENRES, NETWORKS

FIRST = LAST_DAY.astype(object) + timedelta(days=1)
# An hour each; from Friday on, the two at the watershed are one.
WORKDAYS, FRIDAY, LONG_FROM = 4, 4, 20
# Never aired before, so nothing but what is always known speaks for them.
NEW = {
    "Sport": "First Final",
    "Film": "First Film",
    "Drama": "First Night",
    "Comedy": "First Laugh",
    "Quiz": "First Ask",
}
USES = 3
ADVERTISERS = ("Lager", "Toys", "Bank")


def timetable(rows: int, seed: int) -> Mapping[str, pl.DataFrame]:
    """Return ``slots``, ``programmes`` and ``current`` of the week after the newest of *rows* airings."""
    rng = np.random.Generator(np.random.PCG64([seed, 3]))
    slots, programmes = pl.DataFrame(list(_slots(rng))), _programmes(rows, seed, rng)
    return {"slots": slots, "programmes": programmes, "current": _current(slots, programmes)}


def _slots(rng: np.random.Generator) -> Iterator[dict[str, object]]:
    for number in range(7):
        day = FIRST + timedelta(days=number)
        for hour in EVENING:
            long = number >= FRIDAY and hour == LONG_FROM
            if number >= FRIDAY and hour == LONG_FROM + 1:
                continue
            booked = [name for name in ADVERTISERS if rng.random() < 0.2]
            yield {
                "slot": f"{day:%a} {hour}:00",
                "date": day.isoformat(),
                "start": f"{hour}:00",
                "minutes": 120 if long else 60,
                "network": next(iter(NETWORKS)),
                "country": "US",
                "advertisers": "; ".join(booked),
            }


def _programmes(rows: int, seed: int, rng: np.random.Generator) -> pl.DataFrame:
    aired = generate(rows, seed).filter(pl.col("genre").is_not_null() & (pl.col("programme").str.strip_chars() != ""))
    known = aired.group_by("programme").agg(pl.col("genre").first()).sort("programme")
    new = pl.DataFrame({"programme": list(NEW.values()), "genre": list(NEW)})
    both = pl.concat([known, new])
    chance = pl.Series(rng.random(both.height))
    minutes = {name: genre.minutes for name, genre in GENRES.items()}
    month = f"{date(FIRST.year, FIRST.month, 1)}..{FIRST + timedelta(days=3)}"
    return both.with_columns(
        minutes=pl.col("genre").replace_strict(minutes),
        uses=USES,
        kind=pl.lit("premiere"),
        restricted=pl.when((pl.col("genre") == "Drama") & (chance < 0.4)).then(pl.lit("yes")).otherwise(pl.lit("no")),
        rights=pl.when((chance > 0.4) & (chance < 0.5)).then(pl.lit(month)).otherwise(pl.lit("")),
        excludes=pl.when(chance > 0.85).then(pl.lit(ADVERTISERS[0])).otherwise(pl.lit("")),
    )


def _current(slots: pl.DataFrame, programmes: pl.DataFrame) -> pl.DataFrame:
    """Return a plan made without a thought: in each slot the next programme in the list that is as long."""
    by_length = {
        60: programmes.filter(pl.col("minutes") <= 60)["programme"].to_list(),
        120: programmes.filter(pl.col("minutes") == 120)["programme"].to_list(),
    }
    shown = [by_length[minutes][place % len(by_length[minutes])] for place, minutes in enumerate(slots["minutes"])]
    return pl.DataFrame({"slot": slots["slot"], "programme": shown})
