"""Nearest neighbours on points that can be worked out by hand, and the graph against looking at every row."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tasks.adapters.neighbours import similar
from tasks.core import likeness
from tasks.core.likeness import find_likeness, from_files, to_files
from tasks.errors import BadRequest, NotTrusted
from tasks.workloads.likeness import Likeness, likeness_problems

BY = Likeness(("x", "y"), shown=("genre",))
PLANE = pl.DataFrame(
    {
        "song": ["a", "b", "c", "d"],
        "x": [0.0, 2.0, 4.0, None],
        "y": [10.0, 10.0, 10.0, 10.0],
        "genre": ["pop", "pop", "rap", None],
    }
)


def crowd(rows: int = 3_000, numbers: int = 8) -> pl.DataFrame:
    values = np.random.default_rng(5).normal(size=(rows, numbers))
    named = {f"n{each}": values[:, each] for each in range(numbers)}
    return pl.DataFrame({"song": [f"song {row}" for row in range(rows)], **named})


@pytest.fixture(scope="module")
def graph():
    return find_likeness(crowd(), Likeness(tuple(f"n{each}" for each in range(8))), "song", 7, exact_most=100)


def test_distances_are_in_standard_deviations_and_what_is_missing_is_the_mean():
    alike = find_likeness(PLANE, BY, "song", 7)
    spread = np.sqrt(8 / 3)
    near = alike.nearest(alike.vectors[0], 3)
    assert alike.expansion == 0 and near.places.tolist() == [0, 1, 3]
    assert near.distances.tolist() == pytest.approx([0, 2 / spread, 2 / spread])
    assert alike.standard.spreads[1] == 1.0


def test_the_graph_finds_what_looking_at_every_row_finds(graph):
    assert graph.expansion > 0 and graph.recall >= likeness.RECALL_LEAST
    unseen = np.random.default_rng(9).normal(size=(50, 8)).astype(np.float32)
    hits = 0
    for vector in unseen:
        true = likeness.exact(graph.vectors, vector, 10).places
        hits += len(set(true) & set(graph.nearest(vector, 10).places))
    assert hits / 500 >= 0.98


def test_where_a_narrow_search_finds_too_little_the_next_wider_one_is_taken():
    # In a hundred numbers that say nothing of each other everything is about as far from everything.
    by = Likeness(tuple(f"n{each}" for each in range(100)))
    found = find_likeness(crowd(4_000, 100), by, "song", 7, exact_most=100)
    asked = np.random.default_rng(9).choice(found.rows.height, 200, replace=False)
    narrow = replace(found, expansion=likeness.EXPANSIONS[0])
    assert found.expansion == likeness.EXPANSIONS[1] and found.recall >= likeness.RECALL_LEAST == 0.98
    assert likeness.recall(narrow, asked) < 0.98 <= likeness.recall(found, asked)


def test_where_no_search_finds_enough_every_row_is_looked_at(monkeypatch):
    monkeypatch.setattr(likeness, "RECALL_LEAST", 1.01)
    found = find_likeness(crowd(200), Likeness(tuple(f"n{each}" for each in range(8))), "song", 7, exact_most=100)
    assert (found.expansion, found.recall, "index.usearch" in to_files(found)) == (0, 1.0, False)


def test_the_same_rows_give_the_same_bytes_and_the_files_answer_alike(graph):
    again = find_likeness(crowd(), Likeness(graph.standard.features), "song", 7, exact_most=100)
    files = to_files(graph)
    assert files == to_files(again) and set(files) == {
        "likeness.json",
        "rows.parquet",
        "vectors.safetensors",
        "index.usearch",
    }
    read = from_files(files)
    assert read.nearest(graph.vectors[5], 10).places.tolist() == graph.nearest(graph.vectors[5], 10).places.tolist()


def test_a_clean_process_reproduces_the_golden_neighbours_and_can_still_use_xgboost(graph, tmp_path):
    for name, content in to_files(graph).items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import sys, pathlib; from tasks.core.likeness import from_files\n"
        "found = from_files({path.name: path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()})\n"
        "print(found.nearest(found.vectors[found.place_of('song 7')], 3).places.tolist())\n"
        # Whoever loads usearch first finds XGBoost broken; see likeness._usearch.
        "import xgboost; xgboost.DMatrix(found.vectors, nthread=1)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(graph.nearest(graph.vectors[7], 3).places.tolist())


def test_other_neighbours_than_at_publishing_are_not_trusted(graph):
    files = to_files(graph)
    turned = graph.vectors[::-1].copy()
    files["vectors.safetensors"] = likeness.tensors.save({"vectors": turned})
    with pytest.raises(NotTrusted, match="other neighbours here"):
        from_files(files)
    with pytest.raises(NotTrusted, match="not what this version writes"):
        from_files({name: content for name, content in files.items() if name != "index.usearch"})


@pytest.mark.parametrize("broken", [lambda index: index[: len(index) // 2], lambda _: b"junk" * 100])
def test_a_damaged_index_is_told_as_one(graph, broken):
    files = to_files(graph)
    files["index.usearch"] = broken(files["index.usearch"])
    with pytest.raises(NotTrusted, match=r"index\.usearch is damaged"):
        from_files(files)


@pytest.mark.parametrize(
    ("vector", "k", "sentence"),
    [
        ([0.0, np.nan], 1, "asked by y that are no finite numbers"),
        ([0.0, 0.0, 0.0], 1, r"asked by numbers of shape \(3,\), and rows have 2"),
        ([0.0, 0.0], 5, "5 nearest were asked for, and there are 4 rows"),
        ([0.0, 0.0], 0, "0 nearest were asked for"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_reason(vector, k, sentence):
    with pytest.raises(BadRequest, match=sentence):
        find_likeness(PLANE, BY, "song", 7).nearest(np.array(vector, dtype=np.float32), k)


def test_as_many_as_there_are_others_may_be_named_and_no_more():
    alike = find_likeness(PLANE, BY, "song", 7)
    bundle = SimpleNamespace(manifest=SimpleNamespace(version="1.0.0"))
    assert [row["song"] for row in similar(bundle, alike, "a", 3).rows] == ["b", "d", "c"]
    with pytest.raises(BadRequest, match="4 rows like a were asked for, of 3 others"):
        similar(bundle, alike, "a", 4)


def test_who_is_not_there_is_named():
    with pytest.raises(BadRequest, match="none of the 4 rows is of song 'z'"):
        find_likeness(PLANE, BY, "song", 7).place_of("z")


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        (Likeness(("z",)), "likeness looks at z"),
        (Likeness(()), "looks at nothing"),
        (Likeness(("x",), shown=("mood",)), "likeness reads mood"),
        (Likeness(("x",), moment="day"), "name both or neither"),
    ],
)
def test_a_misdeclared_likeness_is_said(declared, sentence):
    assert sentence in "; ".join(likeness_problems(declared, {"day", "genre"}, {"x", "y"}))
