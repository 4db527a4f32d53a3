"""What-ifs as typed, on a champion that was trained: what is advised, and what is refused."""

from __future__ import annotations

import polars as pl
import pytest

from tests.command_line import said_plainly


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_levers_are_advised_with_intervals_and_warnings(first_run, greenlight, sources, tmp_path):
    first_run.copied_to(greenlight.home)
    rows = pl.read_csv(sources["second"], infer_schema=False)
    rows[5:6].write_csv(tmp_path / "one.csv")
    rows[5:7].write_csv(tmp_path / "two.csv")

    def simulated(*asked):
        return greenlight("simulate", "channels", "--ring", "dev", *asked)

    asked = ("--vary", "uploads=10:900:10", "--vary", "category=Music,Quilting", "--vary", "age=1,5")
    done = simulated("--from", tmp_path / "one.csv", *asked, "--top", "2", "--json")
    assert done.rc == 0, done.err
    assert done.value["points"] == 90 * 2 * 2 and done.value["outside"] >= 180
    for advice in done.value["advice"]:
        assert {next(iter(each["settings"])) for each in advice["alone"]} == {"uploads", "category", "age"}
        best, second = advice["together"]
        assert best["predicted"] >= second["predicted"]
        assert best["difference"]["low"] < best["difference"]["value"] < best["difference"]["high"]
        assert best["predicted"] - advice["as_it_is"] == pytest.approx(best["difference"]["value"])
    assert simulated("--from", tmp_path / "one.csv", *asked, "--top", "2", "--json").out == done.out
    told = simulated("--from", tmp_path / "one.csv", "--vary", "category=Quilting")
    assert "category 'Quilting' was never seen by the model" in told.out and "not what causes what" in told.out

    vary = ("--vary", "uploads=1,2")
    assert said_plainly(simulated("--from", tmp_path / "two.csv", *vary), 2, "has 2 rows, wanted is one")
    assert said_plainly(simulated("--entity", "Nobody", *vary), 2, "learned from is of channel 'Nobody'")
    assert said_plainly(simulated("--vary", "uploads=1,2"), 2, "--entity ID", "--from FILE")
    many = ("--vary", "uploads=1:200000:1", "--vary", "category=*")
    assert said_plainly(simulated("--from", tmp_path / "one.csv", *many), 2, "200,000 values, at most 100,000")
    assert said_plainly(simulated(*vary, "--target", "fame"), 2, "serves no 'fame'")
