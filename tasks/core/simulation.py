"""What-if: which settings of a few levers raise a prediction most, and how sure that is. Pure: rows and models come in.

A model answers with what went together in the rows it learned from; no setting here is known to *cause* anything.
Which levers there are is the workload's declaration; reading rows and bundles belongs to the adapters.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.encoding import ROWS_PER_LEVEL
from tasks.core.intervals import BINS
from tasks.core.intervals import ROWS_PER_BIN as RESIDUALS_PER_BIN
from tasks.core.models import COVERAGE
from tasks.core.scales import Scale
from tasks.core.values import Interval
from tasks.errors import BadRequest
from tasks.workloads.spec import POLARS_TYPES, Lever, Workload

Floats = npt.NDArray[np.float64]
Value = float | str

# So many pairs of residuals put the ends of an interval within about a hundredth of its level.
PAIRS = 4_000
# A setting is like a row if its numbers are within so many ranks, and its categories the same; fewer such rows are few.
RANKS_AROUND, FEW_ROWS = 0.1, 5
SET = "_set_"


@dataclass(frozen=True)
class Varied:
    """A lever, and the values that are tried of it."""

    lever: Lever
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Choice:
    """A setting of levers: what is predicted, how much more than as it is, and what speaks against believing it.

    ``alike`` counts the rows the champion learned from that are like it in all of these levers at once.
    """

    settings: Mapping[str, Value]
    predicted: float
    difference: Interval
    alike: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Advice:
    """The settings that raise one target most: of each lever ``alone``, and of all ``together``, the best first."""

    target: str
    unit: str
    as_it_is: float
    alone: tuple[Choice, ...]
    together: tuple[Choice, ...]


def parsed(text: str, spec: Workload, seen: Mapping[str, Sequence[str]], most: int) -> Varied:
    """Read ``uploads=10:1000:10``, ``uploads=10,50`` or ``category=Music,Gaming`` (``*``: all that were *seen*).

    Raises BadRequest for an unknown lever, a value out of its bounds, or more than *most* values.
    """
    name, _, said = text.partition("=")
    lever = next((each for each in spec.levers if each.name == name.strip()), None)
    if lever is None or not said.strip():
        known = ", ".join(each.name for each in spec.levers) or "none"
        raise BadRequest(
            f"{text!r} varies no lever of {spec.name}; its levers are: {known}; write NAME=10:1000:10 or NAME=a,b"
        )
    if lever.low is None or lever.high is None:
        levels = seen.get(lever.feature, ()) if said.strip() == "*" else next(csv.reader([said], skipinitialspace=True))
        return Varied(lever, tuple(dict.fromkeys(level.strip() for level in levels)))
    values = _numbers(said, text, most)
    whole = any(column.name == lever.column and column.type == "int" for column in spec.columns)
    bad = [each for each in values if not lever.low <= each <= lever.high or (whole and each != round(each))]
    if bad:
        raise BadRequest(
            f"{lever.name} takes {'whole ' if whole else ''}numbers from {lever.low:,.10g} to {lever.high:,.10g}; "
            f"found {bad[0]:,.10g}"
        )
    return Varied(lever, tuple(dict.fromkeys(values)))


def count_points(varied: Sequence[Varied], most: int) -> int:
    """Return how many settings the levers have together; raises BadRequest beyond *most* or for a lever named twice."""
    names = [each.lever.name for each in varied]
    if not names or len(set(names)) < len(names):
        raise BadRequest(f"vary each lever once and at least one; found: {', '.join(names) or 'none'}")
    found = math.prod(len(each.values) for each in varied)
    if found > most:
        sizes = " × ".join(f"{len(each.values)} of {each.lever.name}" for each in varied)
        raise BadRequest(
            f"the levers have {found:,} settings ({sizes}), at most {most:,} are tried; vary less, or raise --most"
        )
    return found


def settings_between(varied: Sequence[Varied], start: int, stop: int) -> pl.DataFrame:
    """Return the settings number *start* to *stop*, a column per lever; the last lever turns fastest."""
    places = np.unravel_index(np.arange(start, stop), [len(each.values) for each in varied])
    return pl.DataFrame(
        {each.lever.name: pl.Series(each.values).gather(place) for each, place in zip(varied, places, strict=True)}
    )


def rows_with(
    spec: Workload, base: pl.DataFrame, settings: pl.DataFrame, brought: Mapping[str, pl.DataFrame]
) -> pl.DataFrame:
    """Return *base*, one raw row, once per setting, its features derived anew; all else stays as it is.

    *brought* has, by lever, what goes with each of its values: a country's figures with the country.
    """
    # Repeated by place and joined in order: whoever made the settings finds their answers where he put them.
    repeated = base[[0] * settings.height]
    frame = pl.concat([repeated, settings.rename(lambda name: SET + name)], how="horizontal")
    types = {column.name: POLARS_TYPES[column.type] for column in spec.columns}
    for lever in (each for each in spec.levers if each.name in settings.columns):
        value = pl.col(SET + lever.name)
        frame = frame.with_columns(made.cast(types[name]).alias(name) for name, made in lever.made(value).items())
        if lever.brings:
            frame = frame.drop(lever.brings).join(
                brought[lever.name], on=lever.column, how="left", maintain_order="left"
            )
    return spec.derive(frame.lazy()).collect()


def company(rows: pl.LazyFrame, lever: Lever) -> pl.DataFrame:
    """Return what goes with each value of *lever* in *rows*: the commonest of each column it brings."""
    commonest = [pl.col(name).drop_nulls().mode().sort().first() for name in lever.brings]
    return rows.group_by(lever.column).agg(commonest).drop_nulls(lever.column).sort(lever.column).collect()


class Residuals:
    """How far holdout rows lay from their prediction, on the learned scale, by bins of the prediction.

    ``difference`` is a 90 % prediction interval for two rows that share no luck: one as it is, one as it would be.
    Pairs of residuals are drawn from the bins both are in (as conformal intervals do by bins: Vovk 2005, Mondrian); the
    same pairs for every setting. For one and the same row part of the luck is shared, so its interval is too wide, not
    too narrow. That the best of many settings was chosen is not corrected for.
    """

    def __init__(self, scale: Scale, actual: Floats, predicted: Floats, seed: int) -> None:
        self._scale, place = scale, scale.link(predicted)
        bins = BINS if place.size >= BINS * RESIDUALS_PER_BIN else 1
        self._edges = np.unique(np.quantile(place, np.arange(1, bins) / bins))
        residuals, at = scale.link(actual) - place, np.searchsorted(self._edges, place, side="right")
        self._bins = [np.sort(residuals[at == each]) for each in range(self._edges.size + 1)]
        self._draws = np.random.default_rng(seed).random((2, PAIRS))

    def difference(self, was: float, now: float) -> Interval:
        """Return how much more *now* is than *was*, both medians in the target's unit."""
        apart = self._outcomes(now, self._draws[0]) - self._outcomes(was, self._draws[1])
        low, high = np.quantile(apart, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        return Interval(now - was, float(low), float(high))

    def _outcomes(self, predicted: float, draws: Floats) -> Floats:
        place = self._scale.link(np.array([predicted]))
        known = self._bins[int(np.searchsorted(self._edges, place, side="right")[0])]
        return self._scale.label(place + known[(draws * known.size).astype(int)])


def unseen(row: pl.DataFrame, names: Sequence[str], profile: Mapping[str, Any]) -> tuple[str, ...]:
    """Say of one row which features are outside of what the profile's model has seen; what is missing is not."""
    found = []
    for name in names:
        value = row[name][0]
        if value is None:
            continue
        if name in profile["numbers"]:
            low, high = (profile["numbers"][name][end] for end in ("min", "max"))
            if low is not None and not low <= value <= high:
                found.append(f"{name} {value:,.6g} is outside of what the model has seen ({low:,.6g} to {high:,.6g})")
        elif name in profile["categories"]:
            found += _strange(name, value, profile["categories"][name])
    return tuple(found)


def count_outside(rows: pl.DataFrame, names: Sequence[str], profile: Mapping[str, Any]) -> int:
    """Count the rows of which one of the features *names* is outside of what the model has seen."""
    outside = [pl.lit(False)]
    for name in names:
        if name in profile["numbers"]:
            known = profile["numbers"][name]
            outside.append(~pl.col(name).is_between(known["min"], known["max"]))
        elif name in profile["categories"]:
            known = list(profile["categories"][name]["counts"])
            outside.append(~pl.col(name).is_in(known))
    return int(rows.select(pl.any_horizontal(outside).fill_null(False).sum()).item())


def alike(learned: pl.DataFrame, row: pl.DataFrame, features: Sequence[str]) -> int:
    """Count the rows of *learned* that are like *row* in all *features*: numbers by rank, categories the same."""
    like = [pl.lit(True)]
    for name in features:
        value = row[name][0]
        if value is None or not learned.schema[name].is_float():
            like.append(pl.col(name).eq_missing(pl.lit(value)))
            continue
        known = learned[name].drop_nulls().sort()
        ranks = [known.search_sorted(value, side) / max(known.len(), 1) for side in ("left", "right")]
        near = (max(ranks[0] - RANKS_AROUND, 0.0), min(ranks[1] + RANKS_AROUND, 1.0))
        like.append(pl.col(name).is_between(*(known.quantile(rank, "nearest") for rank in near)))
    return int(learned.select(pl.all_horizontal(like).sum()).item())


def few(found: int, rows: int) -> tuple[str, ...]:
    """Say so where hardly any row was like a setting."""
    if found >= FEW_ROWS:
        return ()
    return (f"{found} of the {rows:,} rows the champion learned from are like it in all these levers at once",)


def _numbers(said: str, text: str, most: int) -> tuple[float, ...]:
    """Read ``10:1000:10``, both ends among it, or ``10,50``."""
    try:
        if ":" not in said:
            numbers = tuple(float(each) for each in said.split(","))
        else:
            first, last, step = (float(each) for each in said.split(":"))
            steps = math.floor((last - first) / step + 1e-9) + 1
            if step <= 0 or steps < 1:
                raise ValueError("it goes nowhere")
            if steps > most:
                raise BadRequest(
                    f"{text!r} has {steps:,} values, at most {most:,} are tried; take a wider step, or raise --most"
                )
            numbers = tuple(round(first + place * step, 9) for place in range(steps))
        if not all(map(math.isfinite, numbers)):
            raise ValueError("not a finite number")
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise BadRequest(
            f"{text!r} is no range of numbers ({error}); write NAME=10:1000:10 (from:to:step) or NAME=10,50"
        ) from error
    return numbers


def _strange(name: str, value: object, known: Mapping[str, Any]) -> Iterator[str]:
    rows = known["counts"].get(value)
    if rows is None and known["other"]:
        yield f"{name} {value!r} is not among the {len(known['counts'])} commonest the model has seen"
    elif rows is None:
        yield f"{name} {value!r} was never seen by the model"
    elif rows < ROWS_PER_LEVEL:
        yield f"{name} {value!r} was seen in {rows} rows only, so the model takes it for any other rare one"


def best_of(predicted: Floats, count: int) -> list[int]:
    """Return the places of the largest predictions, largest first, the earlier of equal ones first."""
    return [int(place) for place in np.argsort(-predicted, kind="stable")[:count]]
