"""Tracks on the whole road: learned, let out, asked for their like, and their genres and artists held beside."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tests.command_line import CommandLine, said_plainly

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS = 3_000


@pytest.fixture(scope="module")
def let_out(checkout, api, tmp_path_factory):
    """The command line on a home where the demo's tracks were learned, and what was printed."""
    folder = tmp_path_factory.mktemp("tracks")
    line = CommandLine(checkout, folder, folder / "home", {"PREFECT_API_URL": api})
    assert line("demo-data", "tracks", "--rows", str(ROWS), "--out", folder / "tracks.csv").rc == 0
    return line, line("run", "tracks", "--source", folder / "tracks.csv", "--json", timeout=1000)


def test_generated_tracks_are_learned_and_let_out(let_out):
    _, done = let_out
    assert done.rc == 0, done.err[-3000:]
    found = done.value
    assert found["rows_in"] == ROWS == found["rows_accepted"] + found["rows_quarantined"]
    assert {card["status"] for card in found["scorecards"]} == {"scored"} and len(found["scorecards"]) == 8
    judged = {each["target"]: each for each in found["evaluations"]}
    assert set(judged) == {"popularity", "hit"}
    assert all({"rule", "random"} <= {b["name"] for b in each["baselines"]} for each in judged.values())
    assert all(each["spearman_interval"]["low"] > 0.3 for each in judged.values())
    assert "popularity" in found["promotion"]["serves"]


def test_the_most_similar_tracks_are_named(let_out):
    line, _ = let_out
    done = line("similar", "tracks", "--entity", "track-0000100", "--k", "3", "--json")
    assert done.rc == 0, done.err
    apart = [row["distance"] for row in done.value["rows"]]
    assert len(apart) == 3 and apart == sorted(apart) and apart[0] > 0
    row = pl.read_csv(line.cwd / "tracks.csv", infer_schema=False).filter(pl.col("track_id") == "track-0000100")
    row.write_csv(line.cwd / "one.csv")
    given = line("similar", "tracks", "--from", line.cwd / "one.csv", "--k", "4", "--json")
    assert given.rc == 0, given.err
    near = [each["track_id"] for each in given.value["rows"]]
    assert near == ["track-0000100", *(each["track_id"] for each in done.value["rows"])]


def test_an_index_that_was_changed_is_not_opened(let_out):
    line, done = let_out
    manifest = line.home / "store" / "bundles" / "tracks" / f"{done.value['promotion']['version']}.json"
    digest = json.loads(manifest.read_text())["manifest"]["files"]["likeness/vectors.safetensors"]["digest"]
    blob = next((line.home / "store" / "blobs").rglob(digest))
    whole = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused = line("similar", "tracks", "--entity", "track-0000100")
    blob.write_bytes(whole)
    assert said_plainly(refused, refused.rc, "likeness/vectors.safetensors") and refused.rc


def test_trends_and_styles_are_handed_out(let_out):
    line, _ = let_out
    for what in ("trends", "styles"):
        done = line("export", "tracks", "--what", what, "--ring", "dev", "--to", line.cwd / f"{what}.csv", "--json")
        assert done.rc == 0, done.err
    trends, styles = (pl.read_csv(line.cwd / f"{what}.csv") for what in ("trends", "styles"))
    rock = trends.filter((pl.col("group") == "rock") & (pl.col("figure") == "energy") & pl.col("changed"))
    assert rock["month"].str.slice(0, 4).to_list() in (["2011"], ["2012"])
    assert set(styles["by"]) == {"artist", "genre"}
