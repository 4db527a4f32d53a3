"""Who is like whom: the nearest rows over standardised numbers, exactly while they are few, by HNSW beyond.

An index is files, as a model is: plain JSON, Parquet, safetensors and usearch's own format, made byte for byte again
from the same rows. Where rows come from, and which workload declares likeness, does not belong here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import safetensors.numpy as tensors

from tasks.core.encoding import numbers
from tasks.errors import BadRequest, NotTrusted
from tasks.workloads.likeness import Likeness

if TYPE_CHECKING:
    from usearch.index import Index

Floats32 = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

FORMAT = 1
DESCRIPTION, ROWS, VECTORS, INDEX = "likeness.json", "rows.parquet", "vectors.safetensors", "index.usearch"
# Up to here looking at every row takes well under a millisecond.
EXACT_MOST = 10_000
# What the index must find of the true ten nearest, on so many rows; it searches wider until it does.
RECALL_LEAST, NEIGHBOURS, ASKED = 0.98, 10, 400
CONNECTIVITY, EXPANSION_ADD = 16, 128
EXPANSIONS = (64, 128, 256, 512, 1024)
GOLDEN = 5


@dataclass(frozen=True)
class Standard:
    """How numbers are made to weigh alike: less the mean, over the standard deviation; what is missing is the mean."""

    features: tuple[str, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]

    def vectors(self, rows: pl.DataFrame) -> Floats32:
        """Return one standardised vector per row."""
        raw = np.column_stack([numbers(rows[name]) for name in self.features])
        standard: Floats32 = np.nan_to_num((raw - np.array(self.means)) / np.array(self.spreads)).astype(np.float32)
        return standard


@dataclass(frozen=True)
class Neighbours:
    """Places of the nearest rows, nearest first, and their distances (Euclidean, in standard deviations)."""

    places: Places
    distances: Floats32


@dataclass(frozen=True)
class Alike:
    """Rows to be asked for their like; ``expansion`` is how wide HNSW searches, 0 where every row is looked at."""

    standard: Standard
    rows: pl.DataFrame
    vectors: Floats32
    expansion: int
    recall: float
    graph: bytes = b""

    def nearest(self, vector: Floats32, k: int) -> Neighbours:
        """Return the *k* rows nearest to a standardised *vector*; raises BadRequest where that cannot be asked."""
        self._refuse(vector, k)
        if not self.expansion:
            return exact(self.vectors, vector, k)
        found = self._index.search(vector, max(k, NEIGHBOURS), threads=1)
        return _ordered(self.vectors, vector, np.asarray(found.keys).astype(np.intp), k)

    def place_of(self, entity: str) -> int:
        """Return where *entity* stands; raises BadRequest if it is not among the rows."""
        found = self.rows.select((pl.col(self.rows.columns[0]) == entity).arg_true()).to_series()
        if not found.len():
            raise BadRequest(
                f"none of the {self.rows.height:,} rows is of {self.rows.columns[0]} {entity!r}; spell it as there, or "
                "give its row with --from FILE"
            )
        return int(found[0])

    def _refuse(self, vector: Floats32, k: int) -> None:
        width = len(self.standard.features)
        if vector.shape != (width,):
            raise BadRequest(f"asked by numbers of shape {vector.shape}, and rows have {width}: one of each feature")
        unknown = [name for name, known in zip(self.standard.features, np.isfinite(vector), strict=True) if not known]
        if unknown:
            raise BadRequest(f"asked by {', '.join(unknown)} that are no finite numbers; standardise what is asked by")
        if not 1 <= k <= self.rows.height:
            raise BadRequest(
                f"{k:,} nearest were asked for, and there are {self.rows.height:,} rows; ask for 1 to that"
            )

    @cached_property
    def _index(self) -> Index:
        try:
            index = _usearch().restore(self.graph)
        except (RuntimeError, ValueError) as error:
            raise NotTrusted(f"{INDEX} is damaged ({error}); publish the bundle again") from error
        if index is None or len(index) != self.rows.height or index.ndim != self.vectors.shape[1]:
            raise NotTrusted(f"{INDEX} does not hold the {self.rows.height} rows beside it; publish the bundle again")
        index.expansion_search = self.expansion  # type: ignore[misc]  # its setter has no types
        return index


def standardise(rows: pl.DataFrame, features: tuple[str, ...]) -> Standard:
    """Fit means and standard deviations on what is known; a number that never varies says nothing and stays so."""
    known = [values[np.isfinite(values)] for values in (numbers(rows[name]) for name in features)]
    means = tuple(float(each.mean()) if each.size else 0.0 for each in known)
    return Standard(features, means, tuple(float(each.std()) or 1.0 if each.size else 1.0 for each in known))


def find_likeness(
    rows: pl.DataFrame, likeness: Likeness, entity: str, seed: int, *, exact_most: int = EXACT_MOST
) -> Alike:
    """Make *rows* ready to be asked: exact up to *exact_most*, else the narrowest HNSW search that finds enough."""
    standard = standardise(rows, likeness.features)
    shown = rows.select(pl.col(entity).cast(pl.String), *(name for name in likeness.shown if name != entity))
    plain = Alike(standard, shown, standard.vectors(rows), 0, 1.0)
    if rows.height <= exact_most:
        return plain
    graph = _graph(plain.vectors)
    asked = np.random.default_rng(seed).choice(rows.height, min(ASKED, rows.height), replace=False)
    for expansion in EXPANSIONS:
        wider = Alike(standard, shown, plain.vectors, expansion, 0.0, graph)
        found = recall(wider, asked)
        if found >= RECALL_LEAST:
            return Alike(standard, shown, plain.vectors, expansion, found, graph)
    return plain


def exact(vectors: Floats32, vector: Floats32, k: int) -> Neighbours:
    """Return the *k* nearest by looking at every row; the earlier row comes first among equals."""
    apart = ((vectors - vector) ** 2).sum(axis=1)
    near = np.argpartition(apart, k - 1)[:k] if k < apart.size else np.arange(apart.size)
    return _ordered(vectors, vector, np.flatnonzero(apart <= apart[near].max()), k)


def recall(alike: Alike, asked: Places, k: int = NEIGHBOURS) -> float:
    """Return the share of the true *k* nearest that are found; one as near as the farthest of them counts."""
    hits, k = 0, min(k, alike.rows.height)
    for place in asked:
        vector = alike.vectors[place]
        farthest = exact(alike.vectors, vector, k).distances[-1]
        hits += int(np.sum(alike.nearest(vector, k).distances <= farthest * (1 + 1e-6) + 1e-6))
    return hits / (len(asked) * k)


def to_files(alike: Alike) -> dict[str, bytes]:
    """Return the files of *alike*; the same rows give the same bytes."""
    golden = [
        {"place": int(place), "nearest": _golden(alike, place)}
        for place in np.unique(np.linspace(0, alike.rows.height - 1, GOLDEN).astype(int))
    ]
    plain = {
        "format": FORMAT,
        "features": alike.standard.features,
        "means": alike.standard.means,
        "spreads": alike.standard.spreads,
        "rows": alike.rows.height,
        "expansion": alike.expansion,
        "recall": alike.recall,
        "golden": golden,
    }
    rows = io.BytesIO()
    alike.rows.write_parquet(rows, compression="zstd", statistics=False)
    files = {
        DESCRIPTION: json.dumps(plain, sort_keys=True, indent=1, allow_nan=False).encode(),
        ROWS: rows.getvalue(),
        VECTORS: tensors.save({"vectors": alike.vectors}),
    }
    return files | ({INDEX: alike.graph} if alike.expansion else {})


def from_files(files: Mapping[str, bytes]) -> Alike:
    """Return what these files hold and check that it still answers its golden questions alike; raises NotTrusted."""
    try:
        plain: dict[str, Any] = json.loads(files[DESCRIPTION])
        standard = Standard(*(tuple(plain[name]) for name in ("features", "means", "spreads")))
        rows, vectors = pl.read_parquet(files[ROWS]), tensors.load(files[VECTORS])["vectors"]
        graph = files[INDEX] if plain["expansion"] else b""
        alike = Alike(standard, rows, vectors, int(plain["expansion"]), float(plain["recall"]), graph)
        known = [(each["place"], each["nearest"]) for each in plain["golden"]]
    except (KeyError, TypeError, ValueError) as error:
        raise NotTrusted(f"the likeness is not what this version writes ({error!r}); publish it again") from error
    if plain["format"] != FORMAT or vectors.shape != (rows.height, len(standard.features)):
        raise NotTrusted(f"{VECTORS} has {vectors.shape}, {ROWS} {rows.height} rows; publish the bundle again")
    for place, nearest in known:
        if _golden(alike, place) != nearest:
            raise NotTrusted(f"{rows.item(place, 0)} has other neighbours here than when it was published; not used")
    return alike


def _golden(alike: Alike, place: int) -> list[int]:
    nearest: list[int] = alike.nearest(alike.vectors[place], min(NEIGHBOURS, alike.rows.height)).places.tolist()
    return nearest


def _graph(vectors: Floats32) -> bytes:
    """Build the graph in one thread and one order: the same vectors give the same bytes."""
    index = _usearch()(
        ndim=vectors.shape[1], metric="l2sq", dtype="f32", connectivity=CONNECTIVITY, expansion_add=EXPANSION_ADD
    )
    index.add(np.arange(len(vectors)), vectors, threads=1)
    return bytes(index.save() or b"")


def _usearch() -> type[Index]:
    """Return usearch's index, with XGBoost loaded before it.

    usearch 2.26.6's wheel brings a C++ library of its own, whose locale whoever loads later takes:
    XGBoost 3 then reads no number any more ("expect int but value='1'"). The one that comes first keeps its own.
    """
    import xgboost  # noqa: F401
    from usearch.index import Index

    return Index


def _ordered(vectors: Floats32, vector: Floats32, places: Places, k: int) -> Neighbours:
    apart = np.sqrt(((vectors[places].astype(np.float64) - vector) ** 2).sum(axis=1)).astype(np.float32)
    order = np.lexsort((places, apart))[:k]
    return Neighbours(places[order], apart[order])
