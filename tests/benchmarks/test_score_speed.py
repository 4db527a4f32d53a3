"""What scoring costs: against ``mlflow.pyfunc`` with the same model on the same rows, and how much memory it holds.

Each side runs in a process of its own and counts from the rows on disk to the predictions on disk; imports and the
loading of the model are counted apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import bundles
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.parquet import ROW_GROUP_ROWS, write_batches
from tasks.adapters.signing import service_signer
from tasks.core.evaluation import evaluate
from tasks.core.manifest import About
from tasks.core.training import score_candidate
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import POLARS_TYPES
from tests.builders import quick

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).parents[2]
ROWS = 500_000
MANY_ROWS = 10_000_000
PEAK_MB_MOST = 2_000
TARGET = CHANNELS.targets[0]
ALGORITHM = "xgboost"

BEGIN = """
import json, sys
from pathlib import Path
from time import process_time
import polars as pl
from tasks.adapters import bundles, contents, environment
folder, accepted, version, rows = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
environment.confine(folder / "home", 2)
from tasks.adapters import scoring
from tasks.adapters.blobs import put_blob
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.memory import peak_mib
from tasks.adapters.signing import service_signer
from tasks.workloads.channels import CHANNELS
store, signer = DirectoryStore(folder / "store"), service_signer(folder / "keys")
bundle = bundles.open_bundle(store, signer.trust(), "channels", version)
scorer = scoring.Scorer(CHANNELS, bundle, ("subscribers",), "0" * 16)
model = scorer.models["subscribers"]
"""

OURS = """
blob = put_blob(store, accepted)
began = process_time()
done = scoring.score(store, signer, scorer, blob, rows, folder)
print(json.dumps([process_time() - began, peak_mib() * 1.048576]))
"""

# The plain way: the same model as a pyfunc with its signature, asked with a pandas frame of the same features.
PYFUNC = """
import mlflow, pandas
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

class Wrapped(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model.score(pl.from_pandas(model_input)).to_pandas()

kinds = {"float": "double", "category": "string"}
asked = [each for each in CHANNELS.features if each.name in scorer.reads]
inputs = Schema([ColSpec(kinds[each.type], each.name, required=False) for each in asked])
python = mlflow.pyfunc.model._PythonModelPyfuncWrapper(Wrapped(), None, None)
meta = mlflow.models.Model(signature=ModelSignature(inputs=inputs))
served = mlflow.pyfunc.PyFuncModel(meta, python)
began = process_time()
frame = pandas.read_parquet(accepted)
derived = CHANNELS.derive(pl.from_pandas(frame).lazy()).collect().to_pandas()
said = served.predict(derived[scorer.reads])
pandas.concat([derived[["channel", "observed_at"]], said], axis=1).to_parquet(folder / "pyfunc.parquet")
print(json.dumps([process_time() - began, peak_mib() * 1.048576]))
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds, and the peak memory of the process in MB."""

    cpu_seconds: float
    peak_mb: float


def cost(code: str, *arguments: object) -> Cost:
    command = [sys.executable, "-c", BEGIN + code, *map(str, arguments)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return Cost(*json.loads(ended.stdout.splitlines()[-1]))


def rows_from(start: int, rows: int) -> pl.DataFrame:
    """Return accepted channel rows, all columns present: names unique, numbers scattered."""
    number = pl.int_range(start, min(start + ROW_GROUP_ROWS, rows), dtype=pl.Int64)
    scattered = (number * 7_919) % 1_000_003 + 1
    kinds = {pl.String: pl.format("label {}", scattered % 40), pl.Int64: scattered, pl.Float64: scattered / 7}
    known = {
        "channel": pl.format("channel {}", number),
        "observed_at": pl.lit(datetime(2023, 1, 1, tzinfo=UTC)) + pl.duration(seconds=scattered % 86_400),
        "created_year": 2006 + scattered % 15,
        "created_month": 1 + scattered % 12,
    }
    columns = [
        known.get(each.name, kinds.get(POLARS_TYPES[each.type], pl.lit(None)))
        .cast(POLARS_TYPES[each.type])
        .alias(each.name)
        for each in CHANNELS.columns
    ]
    return pl.select(*columns, (number + 1).alias("_row"))


def accepted(folder: Path, rows: int) -> Path:
    """Write so many accepted rows."""
    blocks: Iterator[pl.DataFrame] = (rows_from(start, rows) for start in range(0, rows, ROW_GROUP_ROWS))
    write_batches(blocks, rows_from(0, 1).schema, folder / "accepted.parquet")
    return folder / "accepted.parquet"


@pytest.fixture
def version(tmp_path: Path) -> str:
    """The version of a published model of a few thousand channels."""
    rows = CHANNELS.derive(rows_from(0, 4_000).lazy()).collect()
    winner = score_candidate(CHANNELS, rows, TARGET, quick(ALGORITHM)).scorecard
    made = evaluate(CHANNELS, rows, TARGET, winner, refit_on_all=False).files
    files = {f"models/{TARGET.name}/{name}": content for name, content in made.items()}
    store, signer = DirectoryStore(tmp_path / "store"), service_signer(tmp_path / "keys")
    return bundles.publish(store, signer, "channels", files, About((TARGET.name,))).version


def test_scoring_costs_no_more_than_the_same_model_as_a_pyfunc(
    tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = accepted(tmp_path, ROWS)
    ours = cost(OURS, tmp_path, source, version, ROWS)
    pyfunc = cost(PYFUNC, tmp_path, source, version, ROWS)
    ratio = ours.cpu_seconds / pyfunc.cpu_seconds
    with capsys.disabled():
        print(f"\n{ROWS:,} rows: ours {ours}, pyfunc {pyfunc}, ratio {ratio:.2f}")
    mine = pl.concat([pl.read_parquet(each) for each in parts(tmp_path)])
    theirs = pl.read_parquet(tmp_path / "pyfunc.parquet")
    assert mine["subscribers"].to_list() == pytest.approx(theirs["predicted"].to_list(), rel=1e-12)
    assert ratio < 1


def parts(folder: Path) -> list[Path]:
    """Return the parts that were scored, in order."""
    found = []
    for path in (folder / "store" / "stages" / "channels" / "score").iterdir():
        body = json.loads(path.read_text())
        digest = json.loads(body["value"])["rows"]["digest"]
        found.append((body["inputs"]["from"], folder / "store" / "blobs" / "sha256" / digest[:2] / digest))
    return [path for _, path in sorted(found)]


def test_ten_million_rows_are_scored_in_two_gigabytes(
    tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = cost(OURS, tmp_path, accepted(tmp_path, MANY_ROWS), version, MANY_ROWS)
    with capsys.disabled():
        print(f"\n{MANY_ROWS:,} rows × {len(CHANNELS.features)} features: {ours}")
    assert ours.peak_mb < PEAK_MB_MOST
