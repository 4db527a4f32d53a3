"""How long an approver waits: from the last trained candidate to a request that can be approved, in each ring.

Before preprod it scores in qa, as its soak asks.

Told, not asserted: a wall time on a busy machine is no verdict. What is asserted is that the question was asked.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.command_line import CommandLine, stage_of

ROOT = Path(__file__).parents[2]
ROWS = 995
RINGS = ("dev", "qa", "preprod", "prod")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_the_end_of_training_to_an_approvable_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = CommandLine(ROOT, tmp_path, tmp_path / "home")
    source = tmp_path / "channels.csv"
    assert line("demo-data", "channels", "--rows", str(ROWS), "--out", source).rc == 0
    trained, asked = 0.0, []
    for command in (
        ("run", "channels", "--source", source, "--to-ring", "qa"),
        ("score", "channels", "--input", source, "--ring", "qa"),
        ("promote", "channels", "--to-ring", "prod"),
    ):
        with line.started(*command, stdout=subprocess.DEVNULL) as child:
            for said in child.stderr or ():
                stage = stage_of(said) or ""
                if stage.startswith("train "):
                    trained = time.perf_counter()
                elif stage == "open request":
                    asked.append(time.perf_counter() - trained)
        assert child.returncode == 0
    assert len(asked) == len(RINGS), "not every ring was asked about"
    with capsys.disabled():
        print("\nafter training, seconds: " + ", ".join(f"{r} {s:.1f}" for r, s in zip(RINGS, asked, strict=True)))
