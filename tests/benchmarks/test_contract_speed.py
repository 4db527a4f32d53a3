"""What the contract costs at a million rows, against Great Expectations on pandas giving the same verdicts.

Each side runs in a process of its own, so that its CPU seconds and peak memory are its own; importing and the reading
of the Parquet are counted apart, since both sides import the same library and ours reads inside its queries.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.adapters.sources import read_source
from tasks.workloads.channels import CHANNELS
from tasks.workloads.demo.channels import generate

ROWS = 1_000_000

BEGIN = """
import json, sys, warnings
from datetime import date
from pathlib import Path
from time import process_time
from expectations.channels import SUITE
from tasks.adapters import contract
from tasks.adapters.memory import peak_mib
from tasks.adapters.quarantine import split
snapshot, tmp, today = Path(sys.argv[1]), Path(sys.argv[2]), date(2024, 6, 1)
warnings.simplefilter("ignore")
contract._patched()
imported = process_time()
"""

OURS = """
verdict = {each.rule: [each.passed, each.failed_rows] for each in contract.check(SUITE, snapshot, tmp, as_of=today)}
counts = split(SUITE, snapshot, tmp / "accepted.parquet", tmp / "quarantined.parquet")
assert all(verdict[rule][1] == broken for rule, broken in counts.broken.items())
"""

# The plain way: the whole frame in pandas, and a suite; without the rules on types, which pandas names otherwise.
PANDAS = """
import pandas
gx = contract._patched()
frame = pandas.read_parquet(snapshot)
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
rules = [rule for rule in SUITE.rules if "type_" not in rule.kwargs and rule.id not in sys.argv[3:]]
built = [contract._expectation(rule, "channels", today) for rule in rules]
batch = context.data_sources.pandas_default.read_dataframe(frame)
report = batch.validate(gx.ExpectationSuite(name="channels", expectations=built), result_format=contract.COUNTS)
verdict = {
    each.expectation_config.meta["rule"]: [bool(each.success), int(each.result.get("unexpected_count") or 0)]
    for each in report.results
}
"""

END = """
print(json.dumps({"verdict": verdict, "cpu_seconds": process_time() - imported, "peak_mib": peak_mib()}))
"""


@dataclass(frozen=True)
class Cost:
    """What one side found, and what that took."""

    verdict: dict[str, list[int]]
    cpu_seconds: float
    peak_mib: float


def cost(code: str, *arguments: object) -> Cost:
    command = [sys.executable, "-c", BEGIN + code + END, *map(str, arguments)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return Cost(**json.loads(ended.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("million")
    generate(ROWS, 1).write_parquet(folder / "source.parquet")
    read_source(CHANNELS, folder / "source.parquet", folder / "snapshot.parquet", observed_at=None)
    return folder / "snapshot.parquet"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_rows_cost_at_most_a_quarter_of_the_pandas_way(
    snapshot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = cost(OURS, snapshot, snapshot.parent)
    plain = cost(PANDAS, snapshot, snapshot.parent)
    with capsys.disabled():
        print(f"\nverdict + split: {ours.cpu_seconds:.1f} CPU s, {ours.peak_mib:.0f} MiB", end="; ")
        print(f"pandas verdict: {plain.cpu_seconds:.1f} CPU s, {plain.peak_mib:.0f} MiB", end="; ")
        print(f"ratio {ours.cpu_seconds / plain.cpu_seconds:.2f}")
    differing = {
        rule: (ours.verdict[rule], plain.verdict[rule])
        for rule in plain.verdict
        if ours.verdict[rule] != plain.verdict[rule]
    }
    assert differing == {}
    assert ours.cpu_seconds <= plain.cpu_seconds / 4
    assert ours.peak_mib < 2000
