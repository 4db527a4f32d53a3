"""Demo airings as a champion's training set, and the week after them, whose truth is known for any pair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import polars as pl

from tasks.core.encoding import numbers
from tasks.core.models import Model, calibrate, learn, optional_features
from tasks.core.scales import label_unit
from tasks.core.splitting import split
from tasks.core.timetable.problem import Goals, Problem, Programme, Rules, Slot
from tasks.core.training import out_of_fold
from tasks.workloads.broadcast import BROADCAST
from tasks.workloads.demo import broadcast as drawn
from tasks.workloads.demo.broadcast_world import GENRES, NETWORKS, PROMO, SEASON
from tasks.workloads.spec import POLARS_TYPES, Candidate

SPEC = BROADCAST
GOALS = ("revenue", "audience")
HOURS = (19, 20, 21)
SPOTS = 3
MONDAY = date(2026, 6, 29)


@dataclass(frozen=True)
class Week:
    """One network's week: its slots and programmes, the feature rows of every pair, and what is true of each."""

    problem: Problem
    pairs: pl.DataFrame
    truth: dict[str, np.ndarray]


def training_set(many: int, seed: int) -> pl.DataFrame:
    """Return the faultless of *many* demo airings with their features."""
    return SPEC.derive(_aired(many, seed).lazy()).collect().with_row_index("_row")


def week_after(many: int, seed: int, network: int) -> Week:
    """Return the week after *many* airings on one network, all programmes on offer but the one before every slot.

    Its problem carries the truth as if it were predicted.
    """
    history = _aired(many, seed)
    count = max(drawn.PROGRAMMES_LEAST, -(-many // drawn.ROWS_PER_PROGRAMME))
    programmes = drawn._programmes(count, np.random.Generator(np.random.PCG64(seed)))
    names = {int(name[-5:]) - 1: name for name in history["programme"].unique().sort()}
    lead, *shows = [number for number in range(count) if number in names]
    slots = tuple(
        Slot(f"{day} {hour}", MONDAY + timedelta(day), datetime.combine(MONDAY, time(hour)) + timedelta(day), 60)
        for day in range(7)
        for hour in HOURS
    )
    genres = list(GENRES)
    known = tuple(Programme(names[number], genres[programmes.genre[number]], 60) for number in shows)
    truth = _truth(programmes, shows, lead, slots, -(-many // count))
    problem = Problem(
        slots, known, truth["revenue"], truth["audience"], Rules(per_day=9, in_a_row=9), Goals(0.6, 0.4, 0)
    )
    return Week(problem, _pairs(history, known, names[lead], slots, list(NETWORKS)[network]), truth)


def champion(rows: pl.DataFrame, goal: str, candidate: Candidate) -> Model:
    """Return the model a run ships: fitted on the training part, corrected by its out-of-fold predictions."""
    target = next(each for each in SPEC.targets if each.name == goal)
    train = rows[split(SPEC, rows, target).train]
    learned = learn(SPEC, train, target, candidate, unit=label_unit(target, numbers(train[target.column])))
    known = out_of_fold(SPEC, train, target, candidate)
    actual = known["link_actual"].to_numpy()
    full, bare = (calibrate(known[each].to_numpy(), actual, log=learned.scale.log) for each in ("link", "link_bare"))
    return Model(target.name, target.unit, learned, optional_features(SPEC, target), full, bare)


def expected(model: Model, week: Week) -> np.ndarray:
    """Return programmes × slots what *model* expects of each pair."""
    return model.expected(week.pairs).reshape(len(week.problem.programmes), len(week.problem.slots))


def _aired(many: int, seed: int) -> pl.DataFrame:
    frame = drawn.generate(many, seed).filter(drawn.truth(many, seed)["fault"] == "")
    at = pl.col("airdate").str.to_datetime("%Y-%m-%d", time_zone="UTC", time_unit="us")
    hour = pl.col("slot_start").str.split(":").list.first().cast(pl.Int64).fill_null(0)
    frame = frame.with_columns(airs_at=at + pl.duration(hours=hour))
    return frame.rename({"viewers": "audience", "rating_18_49": "rating"}).select(
        pl.col(each.name).cast(POLARS_TYPES[each.type], strict=False) for each in SPEC.columns
    )


def _pairs(
    history: pl.DataFrame, shows: tuple[Programme, ...], lead: str, slots: tuple[Slot, ...], network: str
) -> pl.DataFrame:
    """Return the features of every pair, programme after programme, each as if it followed *lead*.

    A day's pairs are derived together, for what is known of a programme are the figures of earlier days.
    """
    minutes = {name: genre.minutes for name, genre in GENRES.items()}
    last = (
        history.filter(pl.col("programme") == lead).select("audience", "rating", "genre").fill_null(strategy="forward")
    )
    genre, audience, rating = last["genre"][-1], last["audience"].tail(4).mean(), last["rating"].tail(4).mean()
    leads = {"lead_in_genre": genre, "lead_in_audience": audience, "lead_in_rating": rating}
    parts = []
    for day in sorted({slot.day for slot in slots}):
        asked = pl.DataFrame(
            [
                {"programme": show.name, "airs_at": slot.start, "slot_start": f"{slot.start:%H:%M}", "network": network}
                | {"country": "US", "genre": show.genre, "kind": "premiere", "promo_spots": SPOTS}
                | {"slot_minutes": minutes[show.genre]}
                for show in shows
                for slot in slots
                if slot.day == day
            ]
        ).with_columns(pl.col("airs_at").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")))
        both = pl.concat([history, asked], how="diagonal_relaxed")
        parts.append(SPEC.derive(both.lazy()).collect()[history.height :])
    whole = pl.concat(parts)
    whole = whole.with_columns(pl.lit(value).cast(whole.schema[name]).alias(name) for name, value in leads.items())
    order = pl.DataFrame({"programme": [show.name for show in shows], "_place": range(len(shows))})
    return whole.join(order, on="programme", how="left").sort("_place", "airs_at").drop("_place")


def _truth(
    programmes: drawn._Programmes, shows: list[int], lead: int, slots: tuple[Slot, ...], week: int
) -> dict[str, np.ndarray]:
    """Return programmes × slots the means the world gives a premiere that follows *lead*."""
    show, slot = (each.ravel() for each in np.meshgrid(shows, range(len(slots)), indexing="ij"))
    hour = np.array([each.start.hour for each in slots])[slot]
    weekday = np.array([each.day.weekday() for each in slots])[slot]
    placed = drawn._Timetable(show, np.full(show.size, week), weekday, hour, np.full(show.size, lead))
    genre = [list(GENRES.values())[each] for each in programmes.genre[show]]
    day = np.array([np.datetime64(each.day) for each in slots])[slot]
    season = np.cos(2 * np.pi * (day - day.astype("datetime64[Y]")).astype(int) / 365.25)
    log = drawn._log_audience(programmes, placed, np.array([each.best_hour for each in genre]), None)
    log = log + SEASON * season + PROMO * np.log1p(SPOTS)
    luck = np.exp(drawn._noise(400_000, np.random.default_rng(1))).mean()
    per_viewer = np.array([each.price / 1000 * 0.25 * each.minutes for each in genre]) * np.exp(0.1**2 / 2)
    audience = (np.exp(log) * luck).reshape(len(shows), len(slots))
    return {"audience": audience, "revenue": audience * per_viewer.reshape(audience.shape)}
