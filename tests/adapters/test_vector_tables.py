"""Vectors in a real PostgreSQL: with pgvector where Debian has it, else only that its absence is told."""

from __future__ import annotations

import polars as pl
import pytest

from tasks.adapters import vector_tables
from tasks.core.likeness import find_likeness
from tasks.errors import BadRequest, Unreachable
from tasks.workloads.likeness import Likeness
from tests.emulators import free_port
from tests.postgresql import address, query, running

ROWS = pl.DataFrame({"song": ["a", "b", "c"], "x": [0.0, 1.0, 5.0], "genre": ["pop", None, "rock 'n' roll"]})
ALIKE = find_likeness(ROWS, Likeness(("x",), shown=("genre",)), "song", 7)
TABLE = "greenlight_songs_vectors"


@pytest.fixture(scope="module")
def port():
    with running() as port:
        yield port


def url(port: int) -> str:
    return "postgresql://" + address(port, "mlflow")


def has_pgvector(port: int) -> bool:
    return query(port, "mlflow", "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == "1"


@pytest.mark.slow
def test_the_table_is_replaced_as_a_whole_and_answers_as_the_bundle_does(port):
    if not has_pgvector(port):
        pytest.skip("PostgreSQL here has no extension 'vector': Debian 12 has no package of pgvector")
    first = vector_tables.write(url(port), "songs", "aa", ALIKE)
    assert (first.table, first.rows, first.unchanged) == (TABLE, 3, False)
    assert vector_tables.write(url(port), "songs", "aa", ALIKE).unchanged
    near = f"SELECT entity FROM {TABLE} ORDER BY vector <-> (SELECT vector FROM {TABLE} WHERE entity = 'c')"
    assert query(port, "mlflow", near).split() == ["c", "b", "a"]
    assert query(port, "mlflow", f"SELECT shown->>'genre' FROM {TABLE} WHERE entity = 'c'") == "rock 'n' roll"
    fewer = find_likeness(ROWS.head(2), Likeness(("x",)), "song", 7)
    assert not vector_tables.write(url(port), "songs", "bb", fewer).unchanged
    assert query(port, "mlflow", f"SELECT count(*) FROM {TABLE}") == "2"


@pytest.mark.slow
def test_a_database_without_pgvector_is_told_and_nothing_is_left_there(port):
    if has_pgvector(port):
        pytest.skip("PostgreSQL here has pgvector")
    with pytest.raises(BadRequest, match="has no extension 'vector'"):
        vector_tables.write(url(port), "songs", "aa", ALIKE)
    assert query(port, "mlflow", f"SELECT to_regclass('{TABLE}')") == ""


def test_a_database_that_does_not_answer_is_told_without_its_password():
    with pytest.raises(Unreachable, match="does not answer") as refused:
        vector_tables.write("postgresql://me:hidden@127.0.0.1:" + str(free_port()) + "/x", "songs", "aa", ALIKE)
    assert "hidden" not in str(refused.value) and refused.value.__cause__ is None
