"""What a reader is written: never over his own source, nor another file, nor in a form its name does not say."""

from __future__ import annotations

import polars as pl
import pytest

from deployments import readers
from tasks.adapters import serving
from tasks.errors import BadRequest, GreenlightError
from tests.released import Released

FRAME = pl.DataFrame({"shop": ["a", "b"], "sales": [1.0, 2.0]})


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_another_file_is_left_as_it_is_and_the_same_rows_again_change_nothing(tmp_path, name):
    out = tmp_path / name
    for _ in range(2):
        assert readers.write_table(FRAME, out, force=False).rows == 2
    with pytest.raises(BadRequest, match=r"left as it is; name another file with --out, or add --force"):
        readers.write_table(FRAME.head(1), out, force=False)
    assert readers.write_table(FRAME.head(1), out).rows == 1
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.xlsx", "rows"])
def test_a_name_that_says_another_form_is_refused(tmp_path, name):
    with pytest.raises(BadRequest, match=r"neither CSV nor Parquet; name a file that ends in \.csv or \.parquet"):
        readers.write_table(FRAME, tmp_path / name)
    # Told before anything is scored: there is not even a champion.
    with pytest.raises(BadRequest, match="neither CSV nor Parquet"):
        readers.predict("channels", tmp_path / "gone.csv", tmp_path / name, ring="dev")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["own.csv", "."])
def test_answers_are_never_written_over_the_rows_they_are_of(tmp_path, source):
    out = tmp_path / "own.csv"
    FRAME.write_csv(out)
    before = out.read_bytes()
    with pytest.raises(BadRequest, match="is the source itself"):
        readers.predict("channels", tmp_path / source, out, ring="dev")
    assert out.read_bytes() == before


def test_a_source_that_is_not_there_is_not_taken_for_the_file_that_is(tmp_path):
    out = tmp_path / "own.csv"
    FRAME.write_csv(out)
    with pytest.raises(GreenlightError) as told:
        readers.predict("channels", tmp_path / "gone.csv", out, ring="dev")
    assert "the source itself" not in str(told.value)


def test_a_ring_without_a_champion_says_where_one_serves(tmp_path):
    home = Released(tmp_path)
    home.promote("a model", ring="dev")
    with pytest.raises(BadRequest, match=r"no champion in prod .*; one serves in dev: add --ring dev, or"):
        serving.champion(home.store, home.keys, "shops", "prod")
