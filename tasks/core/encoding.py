"""The preprocessing inside every model: fitted on the training part only, plain numbers and names, JSON in and out.

Two designs come out of one encoder: ``tree`` (missing stays missing, a category is its rank by the mean target, which
is enough for a tree to find the best split of levels: Fisher 1958) and ``dense`` (imputed, scaled, one-hot). A level
never seen in training is *other*, a missing one is missing. Free text is coded by wording.py. Learners do not belong
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.learners.lesson import Layout, Levels
from tasks.core.wording import TextCode, fit_text
from tasks.workloads.spec import Feature

Floats = npt.NDArray[np.float64]
Design = Literal["tree", "dense", "sequence", "text"]

# A level with fewer training rows has no effect worth estimating; it joins *other*.
ROWS_PER_LEVEL = 8
LEVELS_MOST = 60
# A rare level's mean target is drawn towards the overall mean as if it had so many rows more.
SHRINKING_ROWS = 10.0
# Beyond so many standard deviations a linear learner extrapolates wildly; trees never do.
CLIP = 4.0
SKEWED = 2.0
# Share of training rows learned a second time with only what is always known, and with a random half of the rest:
# a model that has never seen such a row answers it with nonsense.
BARE_SHARE = 0.2
HALF_SHARE = 0.1


@dataclass(frozen=True)
class NumericCode:
    """How one number is coded: log1p(x / unit) where ``log``, then centred and scaled for dense learners."""

    name: str
    log: bool
    unit: float
    fill: float
    center: float
    scale: float

    def raw(self, rows: pl.DataFrame) -> Floats:
        """Return the number on its own scale; missing is NaN."""
        values = numbers(rows[self.name])
        return np.log1p(np.maximum(values, 0.0) / self.unit) if self.log else values


@dataclass(frozen=True)
class CategoryCode:
    """How one category is coded: its frequent ``levels``, ordered by mean target; ``other`` ranks the rest."""

    name: str
    levels: tuple[str, ...]
    other: float

    def places(self, rows: pl.DataFrame) -> npt.NDArray[np.int64]:
        """Return each row's place in ``levels``; one past the end is *other*, two past is missing."""
        column, count = rows[self.name].cast(pl.String), len(self.levels)
        known = column.replace_strict(list(self.levels), list(range(count)), default=count, return_dtype=pl.Int64)
        return known.set(column.is_null(), count + 1).to_numpy()


@dataclass(frozen=True)
class SeriesCode:
    """How a series is coded: its last ``steps``, each number of a step centred and scaled, far ones drawn in."""

    name: str
    steps: int
    center: tuple[float, ...]
    scale: tuple[float, ...]

    def coded(self, rows: pl.DataFrame) -> Floats:
        """Return n × (steps · width), oldest first; a step that is not there is NaN."""
        width = self.steps * len(self.center)
        found = np.full((rows.height, width), np.nan)
        for place, values in enumerate(rows[self.name].to_list()):
            # Where no row had a step to learn from, none is read.
            if values and width:
                found[place, max(0, width - len(values)) :] = [np.nan if v is None else v for v in values[-width:]]
        shaped = found.reshape(rows.height, self.steps, len(self.center))
        coded: Floats = np.arcsinh((shaped - np.array(self.center)) / np.array(self.scale))
        return coded.reshape(rows.height, width)


@dataclass(frozen=True)
class Encoder:
    """Every feature of one target, coded."""

    numeric: tuple[NumericCode, ...]
    categories: tuple[CategoryCode, ...]
    series: tuple[SeriesCode, ...] = ()
    text: TextCode | None = None

    def tree(self, rows: pl.DataFrame) -> Floats:
        """Return n × (numbers + categories): missing is NaN, a category is its rank by mean target."""
        columns = [code.raw(rows) for code in self.numeric]
        for category in self.categories:
            ranks = np.array([*range(len(category.levels)), category.other, np.nan])
            columns.append(ranks[category.places(rows)])
        return _side_by_side(columns, rows)

    def dense(self, rows: pl.DataFrame) -> Floats:
        """Return n × (scaled numbers + missing indicators + one-hot levels): no NaN."""
        columns: list[Floats] = []
        for code in self.numeric:
            values = code.raw(rows)
            missing = np.isnan(values)
            scaled = (np.where(missing, code.fill, values) - code.center) / code.scale
            columns += [np.clip(scaled, -CLIP, CLIP), missing.astype(np.float64)]
        for category in self.categories:
            places = category.places(rows)
            columns += [(places == place).astype(np.float64) for place in range(len(category.levels) + 2)]
        return _side_by_side(columns, rows)

    def design(self, rows: pl.DataFrame, kind: Design) -> Floats:
        """Return the design a learner asks for."""
        if kind in ("tree", "dense"):
            return self.tree(rows) if kind == "tree" else self.dense(rows)
        steps = [code.coded(rows) for code in self.series[:1]]
        words = [self.text.coded(rows)] if kind == "text" and self.text else []
        return np.column_stack([self.tree(rows), self.dense(rows), *steps, *words])

    def aspects(self, features: Sequence[Feature]) -> dict[str, tuple[int, ...]]:
        """Return, by the aspect that *features* say something of, the columns of theirs in the *dense* design."""
        named = [code.name for code in self.numeric for _ in range(2)]
        named += [code.name for code in self.categories for _ in range(len(code.levels) + 2)]
        of, found = {feature.name: feature.aspect for feature in features}, dict[str, tuple[int, ...]]()
        for place, name in enumerate(named):
            if of[name]:
                found[of[name]] = (*found.get(of[name], ()), place)
        return found

    @property
    def layout(self) -> Layout:
        """Return which columns of the *sequence* and *text* designs are what; the first series is learned from."""
        dense = 2 * len(self.numeric) + sum(len(code.levels) + 2 for code in self.categories)
        steps, width = (self.series[0].steps, len(self.series[0].center)) if self.series else (0, 0)
        length, pieces = (self.text.length, self.text.pieces) if self.text else (0, 0)
        return Layout(len(self.numeric) + len(self.categories), dense, steps, width, length, pieces)

    @property
    def levels(self) -> dict[str, Levels]:
        """Return where each category stands in the tree design, and what its levels are called."""
        coded = zip(self.category_columns, self.categories, strict=True)
        return {code.name: Levels(column, code.levels) for column, code in coded}

    @property
    def category_columns(self) -> tuple[int, ...]:
        """Return where the categories stand in the tree design."""
        return tuple(range(len(self.numeric), len(self.numeric) + len(self.categories)))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "numeric": [asdict(code) for code in self.numeric],
            "categories": [asdict(code) for code in self.categories],
            "series": [asdict(code) for code in self.series],
        } | ({"text": self.text.to_json()} if self.text else {})

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Encoder:
        """Read what ``to_json`` wrote."""
        return Encoder(
            tuple(NumericCode(**code) for code in plain["numeric"]),
            tuple(CategoryCode(code["name"], tuple(code["levels"]), code["other"]) for code in plain["categories"]),
            tuple(
                SeriesCode(code["name"], code["steps"], tuple(code["center"]), tuple(code["scale"]))
                for code in plain.get("series", ())
            ),
            TextCode.from_json(plain["text"]) if "text" in plain else None,
        )


def fit_encoder(rows: pl.DataFrame, features: Sequence[Feature], target: Floats) -> Encoder:
    """Fit the codes on the training part; *target* on the scale it is learned on."""
    texts = [feature.name for feature in features if feature.type == "text"]
    return Encoder(
        tuple(_numeric(rows[feature.name]) for feature in features if feature.type == "float"),
        tuple(_category(rows[feature.name], target) for feature in features if feature.type == "category"),
        tuple(_series(rows[feature.name], feature.width) for feature in features if feature.type == "series"),
        fit_text(rows, texts) if texts else None,
    )


def numbers(column: pl.Series) -> Floats:
    """Return a column as floats; null, NaN and infinity are all NaN, because all mean *missing* here."""
    values = (column if column.dtype == pl.Float64 else column.cast(pl.Float64)).to_numpy()
    return np.where(np.isfinite(values), values, np.nan)


def masked(rows: pl.DataFrame, names: Sequence[str], where: npt.NDArray[np.bool_] | None = None) -> pl.DataFrame:
    """Return *rows* with the features *names* made missing (only in the rows *where* says, if given)."""
    keep = pl.lit(False) if where is None else ~pl.Series(where)
    return rows.with_columns(pl.when(keep).then(pl.col(name)).otherwise(None).alias(name) for name in names)


def with_gaps(rows: pl.DataFrame, label: Floats, optional: Sequence[str], seed: int) -> tuple[pl.DataFrame, Floats]:
    """Return the rows and, once more, some of them with optional features made missing."""
    if not optional:
        return rows, label
    chance = np.random.default_rng(seed)
    order = chance.permutation(rows.height)
    bare, half = (round(share * rows.height) for share in (BARE_SHARE, HALF_SHARE))
    some, others = rows[order[:bare]], rows[order[bare : bare + half]]
    for name in optional:
        others = masked(others, [name], chance.random(others.height) < 0.5)
    taught = pl.concat([rows, masked(some, optional), others])
    return taught, np.concatenate([label, label[order[: bare + half]]])


def _side_by_side(columns: Sequence[Floats], rows: pl.DataFrame) -> Floats:
    return np.column_stack(columns) if columns else np.zeros((rows.height, 0))


def _numeric(column: pl.Series) -> NumericCode:
    values = numbers(column)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return NumericCode(column.name, False, 1.0, 0.0, 0.0, 1.0)
    log = bool(values.min() >= 0 and _skewness(values) > SKEWED)
    unit = 1.0
    if log:
        unit = float(np.quantile(values[values > 0], 0.05))
        values = np.log1p(values / unit)
    scale = float(values.std())
    return NumericCode(
        column.name, log, unit, float(np.median(values)), float(values.mean()), scale if scale > 1e-12 else 1.0
    )


def _series(column: pl.Series, width: int) -> SeriesCode:
    """Scale by quartiles: growth has a tail so heavy that a standard deviation would make most of it nothing."""
    longest, values = (
        max(column.list.len().drop_nulls().to_list(), default=0),
        column.list.tail(width).drop_nulls().to_list(),
    )
    steps = longest // width
    last = np.array([row for row in values if len(row) == width], dtype=np.float64).reshape(-1, width)
    center, scale = np.zeros(width), np.ones(width)
    for place in range(width):
        known = last[~np.isnan(last[:, place]), place]
        if known.size:
            low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
            center[place], scale[place] = middle, high - low if high - low > 1e-12 else 1.0
    return SeriesCode(column.name, steps, tuple(center.tolist()), tuple(scale.tolist()))


def _skewness(values: Floats) -> float:
    spread = values.std()
    return float((((values - values.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0


def _category(column: pl.Series, target: Floats) -> CategoryCode:
    overall = float(target.mean())
    table = (
        pl.DataFrame({"level": column.cast(pl.String), "target": target})
        .drop_nulls("level")
        .group_by("level", maintain_order=True)
        .agg(pl.len().alias("rows"), pl.col("target").sum().alias("sum"))
        .with_columns(((pl.col("sum") + SHRINKING_ROWS * overall) / (pl.col("rows") + SHRINKING_ROWS)).alias("mean"))
    )
    frequent = (
        table.filter(pl.col("rows") >= ROWS_PER_LEVEL)
        .sort(["rows", "level"], descending=[True, False])
        .head(LEVELS_MOST)
    )
    frequent = frequent.sort(["mean", "level"])
    rare = table.join(frequent, on="level", how="anti")
    mean = (float(rare["sum"].sum()) + SHRINKING_ROWS * overall) / (float(rare["rows"].sum()) + SHRINKING_ROWS)
    other = float((frequent["mean"] < mean).sum()) - 0.5
    return CategoryCode(column.name, tuple(frequent["level"].to_list()), other)
