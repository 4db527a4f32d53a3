"""Exports as typed: a published day, every version's metrics and the ledger, as files another tool reads."""

from __future__ import annotations

import polars as pl
import pytest

from tests.command_line import said_plainly


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_published_day_the_metrics_and_the_history_are_handed_out(first_run, greenlight, sources, tmp_path):
    first_run.copied_to(greenlight.home)
    version = first_run.done.value["promotion"]["version"]
    day = ("--ring", "dev", "--date", "2026-11-20")
    assert greenlight("score", "channels", "--input", sources["second"], *day).rc == 0

    def exported(name, *asked):
        done = greenlight("export", "channels", "--to", tmp_path / name, *asked, "--json")
        assert done.rc == 0, done.err
        return done.value["rows"]

    rows = exported("day.csv", *day)
    found = pl.read_csv(tmp_path / "day.csv")
    assert found.height == rows > 0 and found["model_version"].unique().to_list() == [version]
    assert found["date"].unique().to_list() == ["2026-11-20"]

    assert exported("metrics.json", "--what", "metrics", "--format", "json") > 0
    metrics = pl.read_json(tmp_path / "metrics.json")
    holdout = metrics.filter(pl.col("measured_on") == "holdout")
    told = {each["target"]: each["mae"]["value"] for each in first_run.done.value["evaluations"]}
    assert dict(holdout.select("target", "mae").rows()) == told
    assert exported("history.parquet", "--what", "history", "--format", "parquet") == 1
    assert pl.read_parquet(tmp_path / "history.parquet")["version"].to_list() == [version]

    def refused(*asked):
        return greenlight("export", "channels", "--to", *asked)

    assert said_plainly(refused(tmp_path / "day.csv", *day), 2, "is there already", "--force")
    assert said_plainly(
        refused(tmp_path / "x.csv", "--date", "2026-11-21"), 2, "in prod from 2026-11-21", "none at all"
    )
    assert said_plainly(refused(tmp_path / "x.csv", *day, "--since", "2026-11-01"), 2, "name either")
    assert said_plainly(refused(tmp_path / "x.csv", "--what", "metrics", *day), 2, "knows no days")
    assert not (tmp_path / "x.csv").exists()
