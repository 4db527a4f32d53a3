"""A network that wins: let out as the variant that was measured best, then taught on, and once refused to be."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.command_line import CommandLine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

WORDS = ("red", "blue", "green", "song", "dance", "night", "day", "summer")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
A_DAY, FIRST_DAYS, NOISE = 15, 80, 0.2
NICHES = ("music", "games", "news")
# Commands of one process, since what they import costs more than what they do. Each runs with candidates of its own.
DRIVER = """
import contextlib, io, json, sys
from dataclasses import replace
from deployments.cli import main
from tasks import workloads
from tasks.core.learners import training_cost
from tasks.workloads.spec import Candidate

# Forty seconds of a C++ compiler's, where there is one.
training_cost.compiling = lambda *given: "was not asked about"
network = {"dimension": 8, "layers": 1, "hidden": 8, "epochs": 20, "learning_rate": 0.01, "batch": 32}
spec = workloads.WORKLOADS["content"]
spec = replace(
    spec, targets=spec.targets[:1], slices=(), always_known=(), holdout=replace(spec.holdout, folds=2, block_hours=6),
    gate=replace(spec.gate, non_inferiority_margin=0.05),
)
said = []
for params, asked in json.loads(sys.argv[1]):
    entered = (Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}), Candidate("transformer", network | params))
    workloads.WORKLOADS["content"] = replace(spec, candidates=entered)
    sys.argv = ["greenlight", *asked]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            rc = main() or 0
        except SystemExit as ended:
            rc = ended.code
    said.append((rc, out.getvalue()))
print(json.dumps(said))
"""


def videos(first_day: int, days: int, helps: str = "good", hurts: str = "bad") -> pl.DataFrame:
    """Return videos with either word in their title; four in five trend as the word says."""
    rows, chance = days * A_DAY, np.random.default_rng(first_day)
    helped = chance.random(rows) < 0.5
    titles = [" ".join([*chance.choice(WORDS, 3), helps if each else hurts]) for each in helped]
    trends = helped != (chance.random(rows) < NOISE)
    at = [
        BEGIN + timedelta(days=first_day + row // A_DAY, minutes=int(chance.integers(1, 1440))) for row in range(rows)
    ]
    return pl.DataFrame(
        {
            "video_id": [f"v{first_day}-{row}" for row in range(rows)],
            "published_at": pl.Series(at).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "title": titles,
            "channel": [f"Channel {row % 12}" for row in range(rows)],
            "category": chance.choice(NICHES, rows),
            "days_trending": np.where(trends, 6, 2),
        }
    )


@pytest.fixture(scope="module")
def done(checkout: Path, api: str, tmp_path_factory: pytest.TempPathFactory):
    """The command line, and what came of: a first run, its score, a run that may update, and one that must not."""
    folder = tmp_path_factory.mktemp("updates")
    # New words, which no champion knew; then the old ones, turned round.
    first, then = FIRST_DAYS, FIRST_DAYS + 40
    parts = (videos(0, first), videos(first, 40, "hello", "train"), videos(then, 60, "bad", "good"))
    for count in (1, 2, 3):
        pl.concat(parts[:count]).write_csv(folder / f"{count}.csv")
    line = CommandLine(checkout, folder, folder / "home", {"PREFECT_API_URL": api})
    update, loose = {"update": True}, {"update": True, "strength": 0.0}
    asked = [
        ({}, ("run", "content", "--source", "1.csv", "--json")),
        ({}, ("score", "content", "--input", "1.csv", "--ring", "dev", "--date", "2026-05-01", "--json")),
        ({}, ("measure-network", "content", "--json")),
        (update, ("run", "content", "--source", "2.csv", "--json")),
        (loose, ("run", "content", "--source", "3.csv", "--json")),
    ]
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(asked)], cwd=folder, env=line.environment(), capture_output=True,
        text=True, check=False, timeout=2400,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    said = json.loads(ran.stdout.splitlines()[-1])
    assert [rc for rc, _ in said] == [0] * len(asked), ran.stderr[-3000:]
    return line, [json.loads(out) for _, out in said]


def twin(line: CommandLine, version: str) -> tuple[dict, str]:
    """Return the dossier of *version*, as data and as a page."""
    for path in sorted((line.home / "store" / "dossiers" / "content").glob("*.json")):
        found = json.loads(path.read_bytes())
        if found["dossier"]["version"] == version:
            return found, path.with_suffix(".html").read_text()
    raise AssertionError(f"no dossier of {version}")


def files_of(line: CommandLine, version: str) -> dict[str, bytes]:
    """Return the files of a bundle."""
    manifest = json.loads((line.home / "store" / "bundles" / "content" / f"{version}.json").read_bytes())["manifest"]
    blobs = line.home / "store" / "blobs"
    return {name: next(blobs.rglob(each["digest"])).read_bytes() for name, each in manifest["files"].items()}


def test_a_network_that_wins_is_let_out_as_the_variant_that_was_chosen_and_scores(done):
    line, (first, scored, measured, *_) = done
    (judged,) = first["evaluations"]
    assert judged["algorithm"] == "transformer" and first["promotion"]["status"] == "promoted"
    (chosen,) = [each["name"] for each in judged["variants"] if each["chosen"]]
    files = files_of(line, first["promotion"]["version"])
    described = json.loads(files["models/trend/model.json"])
    assert described.get("variant", "fp32") == chosen
    assert ("models/trend/network.onnx" in files) == chosen.startswith("onnx")
    sheet, page = twin(line, first["promotion"]["version"])
    assert [each["score"]["name"] for each in sheet["variants"]] == ["fp32", "onnx", "int8", "onnx-int8"]
    assert all(each["speed"] for each in sheet["variants"] if each["score"]["error"] is not None)
    assert "How is its network run?" in page and "does a chance mean what it says?" in page
    assert sheet["targets"][0]["meant"]["uncorrected"]
    (meaning,) = [each for each in sheet["dossier"]["verdicts"] if each["gate"] == "chances mean what they say"]
    slope = judged["recalibration"]["slope"]
    assert meaning["outcome"] == "pass" and f"slope {slope['value']:.3f}" in meaning["found"] in page, meaning
    (rehearsed,) = [each for each in sheet["dossier"]["verdicts"] if each["gate"] == "bundle rehearsed"]
    assert rehearsed["outcome"] == "pass", rehearsed
    assert (
        scored["day"]["rows_scored"] == FIRST_DAYS * A_DAY and scored["day"]["version"] == first["promotion"]["version"]
    )
    assert [each["score"]["name"] for each in measured["ways"]] == ["fp32", "onnx", "int8", "onnx-int8"]


def test_new_rows_teach_the_champion_and_both_sides_of_it_are_shown(done):
    line, (first, _, _, second, _) = done
    (judged,) = second["evaluations"]
    card = next(each for each in second["scorecards"] if each["algorithm"] == "transformer")
    assert card["status"] == "scored" and card["params"]["update"] == first["promotion"]["version"], card["reason"]
    assert judged["algorithm"] == "transformer" and second["promotion"]["status"] == "promoted"
    (told,) = [each for each in judged["told"] if "update of the champion" in each["title"]]
    assert told["title"].endswith("accepted") and [each[0] for each in told["lines"]] == ["new rows", "old rows"]
    _, page = twin(line, second["promotion"]["version"])
    assert "The update of the champion: accepted" in page and "experience/trend.parquet" in files_of(
        line, second["promotion"]["version"]
    )


def test_an_update_that_forgets_is_rolled_back_and_the_dossier_says_why(done):
    line, (_, _, _, second, third) = done
    card = next(each for each in third["scorecards"] if each["algorithm"] == "transformer")
    assert card["status"] == "failed" and "rolled back" in card["reason"]
    assert "new rows" in card["reason"] and "old rows" in card["reason"]
    assert card["params"]["update"] == second["promotion"]["version"]
    _, page = twin(line, third["promotion"]["version"])
    assert "rolled back" in page and "transformer updated" in page
    ledger = sorted((line.home / "store" / "ledger" / "content").glob("*.json"))
    assert len(ledger) == 2
