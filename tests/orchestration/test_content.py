"""Content on the whole road: learned, let out, and asked what each aspect of a video is worth."""

from __future__ import annotations

import polars as pl
import pytest

from tests.command_line import CommandLine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS = 1_500


@pytest.fixture(scope="module")
def let_out(checkout, api, tmp_path_factory):
    """The command line on a home where the demo's videos were learned, and what was printed."""
    folder = tmp_path_factory.mktemp("content")
    line = CommandLine(checkout, folder, folder / "home", {"PREFECT_API_URL": api})
    assert line("demo-data", "content", "--rows", str(ROWS), "--seed", "7", "--out", folder / "videos.csv").rc == 0
    return line, line("run", "content", "--source", folder / "videos.csv", "--json", timeout=1000)


def test_generated_videos_are_learned_and_let_out(let_out):
    _, done = let_out
    assert done.rc == 0, done.err[-3000:]
    found = done.value
    assert found["rows_in"] == ROWS == found["rows_accepted"] + found["rows_quarantined"]
    assert {card["status"] for card in found["scorecards"]} == {"scored"}
    judged = {each["target"]: each for each in found["evaluations"]}
    assert set(judged) == {"trend", "like_rate", "comment_rate", "quality"}
    assert all(each["spearman_interval"]["low"] > 0.1 for each in judged.values())
    assert judged["quality"]["algorithm"] == "aspects" and judged["quality"]["aspects"]["channel"] > 0
    assert "quality" in found["promotion"]["serves"]


def test_a_planned_video_is_told_what_each_aspect_alone_would_make_of_it(let_out):
    line, _ = let_out
    done = line("score", "content", "--input", line.cwd / "videos.csv", "--ring", "dev", "--json")
    assert done.rc == 0, done.err[-3000:]
    out = line.cwd / "said.parquet"
    exported = line("export", "content", "--what", "predictions", "--ring", "dev", "--format", "parquet", "--to", out)
    assert exported.rc == 0, exported.err
    said = pl.read_parquet(out)
    parts = [f"quality_aspect_{name}" for name in ("channel", "form", "niche", "tags", "timing", "wording")]
    assert set(parts) <= set(said.columns)
    assert said.select(pl.col(parts).is_between(0, 1.2).all()).row(0) == (True,) * len(parts)
