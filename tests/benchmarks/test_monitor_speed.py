"""What watching a batch costs: against Evidently's drift preset and NannyML's univariate calculator, on the same rows.

Each side runs in a process of its own and counts from two files on disk, the reference and the batch, to the verdict;
imports are counted apart. The rivals are installed beside each other in an environment of their own, never in ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.batch_counts import count_rows, merge
from tasks.core.profile import build_profile
from tasks.workloads.spec import Feature, Workload
from tests.builders import shops_spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).parents[2]
PINS = Path(__file__).with_name("requirements-rivals.txt")
NUMBERS, TEXTS = [f"n{place:02}" for place in range(20)], [f"c{place:02}" for place in range(10)]
VALUES = (5, 8, 12, 20, 35, 60, 100, 200, 350, 500)
FEW, MANY, MOST = 100_000, 1_000_000, 10_000_000
INSTALL_SECONDS_MOST = 600
# On two quiet cores NannyML needs about 45 s at a million rows and Evidently 250: what does not end has lost.
SECONDS_MOST = 75
PEAK_MB_MOST = 2_000
BATCHES = 100
# Nothing a rival tells its makers is sent.
SILENT = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "PYTHONDONTWRITEBYTECODE": ""}

BEGIN = """
import json, sys
from pathlib import Path
from time import process_time
folder, rows, numbers, texts = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), sys.argv[4].split(",")
reference, batch = folder / f"reference-{rows}.parquet", folder / f"batch-{rows}.parquet"
"""

OURS = """
from tasks.adapters import environment
environment.confine(folder / "home", 2)
import polars as pl
from tasks.adapters.counting import _count, _Read
from tasks.core.drift import compare
from tasks.core.profile import build_profile
from tests.benchmarks.test_monitor_speed import SPEC
began = process_time()
profile = json.loads(build_profile(pl.read_parquet(reference), SPEC, {}))
learned = process_time()
report = compare(profile, _count(SPEC, _Read(batch, rows, rows, ()), profile, {}), {})
moved = [each.name for each in report.columns if each.level != "none"]
"""

EVIDENTLY = """
import pandas
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
began = learned = process_time()
declared = DataDefinition(numerical_columns=numbers, categorical_columns=texts)
was, now = (
    Dataset.from_pandas(pandas.read_parquet(path, columns=numbers + texts), data_definition=declared)
    for path in (reference, batch)
)
found = Report([DataDriftPreset()]).run(current_data=now, reference_data=was).dict()["metrics"][1:]
moved = [each["config"]["column"] for each in found if each["value"] > each["config"]["threshold"]]
"""

NANNYML = """
import nannyml, pandas
began = process_time()
was, now = (pandas.read_parquet(path, columns=numbers + texts) for path in (reference, batch))
calculator = nannyml.UnivariateDriftCalculator(column_names=numbers + texts, treat_as_categorical=texts).fit(was)
learned = process_time()
found = calculator.calculate(now).filter(period="analysis").to_df()
moved = [name for name in numbers + texts if found[(name, "jensen_shannon", "alert")].any()]
"""

FIGURES_OF_OURS = """
import polars as pl
from tasks.core.batch_counts import count_rows
from tasks.core.drift import compare
from tasks.core.profile import build_profile
from tests.benchmarks.test_monitor_speed import SPEC
profile = json.loads(build_profile(pl.read_parquet(reference), SPEC, {}))
report = compare(profile, count_rows(pl.read_parquet(batch), {}, profile), {})
names = {"kolmogorov_smirnov": numbers, "wasserstein": numbers, "jensen_shannon": texts, "largest_change": texts}
measured = {each.name: each.measured for each in report.columns}
figures = {name: [getattr(measured[column], name) for column in columns] for name, columns in names.items()}
print(json.dumps(figures))
"""

FIGURES_OF_NANNYML = """
import nannyml, pandas
was, now = (pandas.read_parquet(path, columns=numbers + texts) for path in (reference, batch))
names = {"kolmogorov_smirnov": numbers, "jensen_shannon": texts, "l_infinity": texts}
calculator = nannyml.UnivariateDriftCalculator(
    column_names=numbers + texts, treat_as_categorical=texts, chunk_number=1,
    continuous_methods=["kolmogorov_smirnov"], categorical_methods=["jensen_shannon", "l_infinity"],
).fit(was)
found = calculator.calculate(now).filter(period="analysis").to_df()
values = {name: [float(found[(each, name, "value")].iloc[0]) for each in columns] for name, columns in names.items()}
print(json.dumps(values))
"""

FIGURES_OF_EVIDENTLY = (
    EVIDENTLY
    + """
values = {each["config"]["column"]: float(each["value"]) for each in found}
names = {"wasserstein": numbers, "jensen_shannon": texts}
print(json.dumps({name: [values[each] for each in columns] for name, columns in names.items()}))
"""
)

END = """
done = process_time()
import re
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024 / 1e6
print(json.dumps([done - began, done - learned, peak, moved]))
"""


@dataclass(frozen=True)
class Cost:
    """What one side took from the files to its verdict, how much of it for the batch alone, and what it saw move."""

    cpu_seconds: float
    batch_cpu_seconds: float
    peak_mb: float
    moved: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.cpu_seconds:.2f} CPU s ({self.batch_cpu_seconds:.2f} the batch), {self.peak_mb:,.0f} MB"


def declared() -> Workload:
    """Return a workload of thirty features, twenty numbers and ten texts."""
    features = *(Feature(name, "float", name) for name in NUMBERS), *(Feature(name, "category", name) for name in TEXTS)
    return shops_spec(features=features, slices=(), always_known=(), group="")


SPEC = declared()


def drawn(rows: int, seed: int, shift: float) -> pl.DataFrame:
    """Return rows of all kinds of columns, some with missing values; the first two numbers move by *shift* sd."""
    chance = np.random.default_rng(seed)
    columns: dict[str, object] = {"shop": pl.int_range(rows, eager=True)}
    for place, name in enumerate(NUMBERS):
        values = chance.normal(size=rows) + (shift if place < 2 else 0.0)
        values = np.exp(values) if 8 <= place < 14 else np.round(np.abs(values) * 3) if place >= 14 else values
        columns[name] = pl.Series(np.where(chance.random(rows) < 0.05, np.nan, values) if 2 <= place < 4 else values)
    for name, most in zip(TEXTS, VALUES, strict=True):
        shares = 1 / np.arange(1, most + 1)
        drawn = chance.choice(most, size=rows, p=shares / shares.sum())
        columns[name] = pl.Series([f"value {value}" for value in range(most)]).gather(drawn)
    return pl.DataFrame(columns).with_columns(pl.col(NUMBERS).fill_nan(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference and a batch of each size, the batch a quarter of a standard deviation away in two columns."""
    made = tmp_path_factory.mktemp("monitor")
    for rows in (FEW, MANY):
        drawn(rows, 1, 0.0).write_parquet(made / f"reference-{rows}.parquet")
        drawn(rows, 2, 0.25).write_parquet(made / f"batch-{rows}.parquet")
    return made


@pytest.fixture(scope="module")
def rivals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the rivals; skips where they cannot be had."""
    home = tmp_path_factory.mktemp("rivals")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--retries", "1"]
    began = time.monotonic()
    try:
        ended = subprocess.run(
            [*pip, "--no-deps", "--no-compile", "--only-binary", ":all:", "--requirement", str(PINS)],
            check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS_MOST,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip(f"Evidently and NannyML were not installed from PyPI within {INSTALL_SECONDS_MOST} s")
    if ended.returncode:
        pytest.skip(f"Evidently and NannyML cannot be installed from PyPI: {ended.stderr.strip()[-300:]}")
    # What is imported for the first time is compiled, which is no part of what is measured.
    subprocess.run([python, "-c", "import evidently.presets, nannyml"], check=True, env=os.environ | SILENT)
    print(f"Evidently and NannyML installed in {time.monotonic() - began:.0f} s")
    return python


def started(python: str | Path, code: str, folder: Path, rows: int) -> subprocess.Popen[str]:
    command = [str(python), "-c", BEGIN + code + END, str(folder), str(rows), ",".join(NUMBERS), ",".join(TEXTS)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | SILENT, stdout=pipe, stderr=pipe, text=True)


def cost(process: subprocess.Popen[str], seconds: float | None = None) -> Cost | None:
    """Return what *process* took, None if it has not ended after so many *seconds*."""
    with process:
        try:
            said, wrong = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
    assert process.returncode == 0, wrong[-2000:]
    all_in_all, batch, peak, moved = json.loads(said.splitlines()[-1])
    return Cost(all_in_all, batch, peak, tuple(moved))


def figures(python: str | Path, code: str, folder: Path) -> dict[str, list[float]]:
    """Return what one side measured of every column, by the name of the distance."""
    command = [str(python), "-c", BEGIN + code, str(folder), str(FEW), ",".join(NUMBERS), ",".join(TEXTS)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | SILENT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def beside(ours: Cost, theirs: Cost | None) -> str:
    """Say what a rival took, and ours as a share of it."""
    if theirs is None:
        return f"not ended after {SECONDS_MOST} s"
    return f"{theirs}, CPU ratio {ours.cpu_seconds / theirs.cpu_seconds:.2f}, peak {ours.peak_mb / theirs.peak_mb:.2f}"


@pytest.mark.parametrize("rows", [FEW, MANY])
def test_watching_costs_less_than_either_rival(
    rows: int, folder: Path, rivals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = {"Evidently": started(rivals, EVIDENTLY, folder, rows), "NannyML": started(rivals, NANNYML, folder, rows)}
    theirs = {name: cost(process, SECONDS_MOST if rows == MANY else None) for name, process in running.items()}
    ours = cost(started(sys.executable, OURS, folder, rows))
    assert ours
    with capsys.disabled():
        said = "; ".join(f"{name} {beside(ours, each)}" for name, each in theirs.items())
        print(f"\n{rows:,} rows × 30: ours {ours}; {said}")
    ended = [each for each in theirs.values() if each]
    assert ours.moved == ("n00", "n01")
    assert all(set(ours.moved) <= set(each.moved) for each in ended)
    assert all(ours.cpu_seconds < each.cpu_seconds and ours.peak_mb < each.peak_mb for each in ended)
    if theirs["Evidently"]:
        assert ours.cpu_seconds < theirs["Evidently"].cpu_seconds / 3


def test_what_is_measured_is_what_the_rivals_measure_where_they_mean_the_same(folder: Path, rivals: Path) -> None:
    ours = figures(sys.executable, FIGURES_OF_OURS, folder)
    nannyml, evidently = (figures(rivals, code, folder) for code in (FIGURES_OF_NANNYML, FIGURES_OF_EVIDENTLY))
    # Numbers are kept as counts between quantiles, so a distance may be off by what lies between two of them.
    assert ours["kolmogorov_smirnov"] == pytest.approx(nannyml["kolmogorov_smirnov"], abs=5e-4)
    assert ours["wasserstein"] == pytest.approx(evidently["wasserstein"], abs=5e-4)
    # Beyond so many values the rare ones are counted as one, by us alone.
    known = sum(values <= 200 for values in VALUES)
    assert ours["largest_change"][:known] == pytest.approx(nannyml["l_infinity"][:known], abs=1e-12)
    assert ours["jensen_shannon"][:known] == pytest.approx(nannyml["jensen_shannon"][:known], abs=1e-9)
    # Evidently's is in nats.
    in_bits = [each / np.sqrt(np.log(2)) for each in evidently["jensen_shannon"]]
    assert ours["jensen_shannon"][:known] == pytest.approx(in_bits[:known], abs=1e-9)


def test_a_hundred_batches_add_up_for_less_than_a_profile_of_all_their_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, reference = pl.read_parquet(folder / f"batch-{MANY}.parquet"), drawn(FEW, 1, 0.0)
    profile = json.loads(build_profile(reference, SPEC, {}))
    counted = [count_rows(part, {}, profile) for part in rows.iter_slices(MANY // BATCHES)]

    began = time.process_time()
    merged = reduce(merge, counted)
    merging = time.process_time() - began
    build_profile(rows, SPEC, {})
    building = time.process_time() - began - merging

    with capsys.disabled():
        print(f"\nmerge of {BATCHES} batches {merging:.3f} CPU s, profile of their rows {building:.2f}", end=", ")
        print(f"ratio {merging / building:.3f}")
    whole = count_rows(rows, {}, profile)
    assert [merged["numbers"][name]["counts"] for name in NUMBERS] == [
        whole["numbers"][name]["counts"] for name in NUMBERS
    ]
    for name, was in profile["categories"].items():
        # Values the reference names; of others each part names its own commonest.
        sums, at_once = (each["categories"][name]["counts"] for each in (merged, whole))
        assert {value: sums[value] for value in was["counts"]} == {value: at_once[value] for value in was["counts"]}
    assert merging < building / 4


def test_ten_million_rows_are_watched_in_two_gigabytes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = folder / f"batch-{MANY}.parquet"
    pl.scan_parquet([many] * (MOST // MANY)).sink_parquet(folder / f"batch-{MOST}.parquet")
    (folder / f"reference-{MOST}.parquet").symlink_to(folder / f"reference-{FEW}.parquet")
    ours = cost(started(sys.executable, OURS, folder, MOST))
    with capsys.disabled():
        print(f"\n{MOST:,} rows × 30: {ours}")
    assert ours and ours.peak_mb < PEAK_MB_MOST
