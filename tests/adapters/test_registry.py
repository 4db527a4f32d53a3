import base64
import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy.exc import OperationalError

from tasks.adapters import bundles, ledger
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.projections import alias_of, reconcile
from tasks.adapters.registry import Record, Registry, Trial, trial_of
from tasks.adapters.registry_errors import translated
from tasks.adapters.signing import service_signer
from tasks.core.manifest import About
from tasks.core.values import Challenger, Entry, Scorecard, Study
from tasks.errors import BadRequest, HomeDamaged, OutOfSpace, Unreachable
from tests.command_line import answers, end, eventually
from tests.emulators import free_port

ROOT = Path(__file__).parents[2]
CHALLENGER = Challenger("channels", "abc", "d" * 64, ("growth",))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One database for all tests of this file: making it takes seconds. Each test uses a workload of its own."""
    home = tmp_path_factory.mktemp("a home")
    return Registry(home / "mlflow")


@pytest.fixture
def workload(request):
    return re.sub(r"\W", "_", request.node.name)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


def card(algorithm="ridge", **changes):
    scored = Scorecard(
        "growth", algorithm, {"alpha": 0.5}, "scored", rows=995, mae=2.0, skill=0.25, fold_mae=(1.5, 2.5)
    )
    return replace(scored, **changes)


def record(workload, **changes):
    trials = tuple(trial_of(card(algorithm)) for algorithm in ("ridge", "forest"))
    whole = Record(
        workload, "key1", "retrain", {"rows": "995"}, {"skill": 0.25}, {"code": "c"}, {"snapshot": "a" * 64}, trials
    )
    return replace(whole, **changes)


def runs(made, workload):
    experiment = made._client.get_experiment_by_name(workload)
    return made._client.search_runs([experiment.experiment_id])


def children(made, workload):
    return {
        run.data.tags["greenlight.trial"]: run for run in runs(made, workload) if "mlflow.parentRunId" in run.data.tags
    }


def test_a_run_has_a_child_for_every_candidate(made, workload):
    run_id = made.log_run(record(workload))
    (parent,) = [run for run in runs(made, workload) if run.info.run_id == run_id]
    assert (parent.info.status, parent.data.params, parent.data.metrics) == (
        "FINISHED",
        {"rows": "995"},
        {"skill": 0.25},
    )
    assert parent.data.tags["greenlight.run_key"] == "key1"
    assert [each.dataset.digest for each in parent.inputs.dataset_inputs] == ["a" * 36]
    ridge = children(made, workload)["growth/ridge"]
    errors = [(each.step, each.value) for each in made._client.get_metric_history(ridge.info.run_id, "fold_mae")]
    assert errors == [(0, 1.5), (1, 2.5)]
    assert ridge.data.params == {"target": "growth", "algorithm": "ridge", "alpha": "0.5"}
    assert ridge.data.metrics == {"mae": 2.0, "skill": 0.25, "rows": 995.0, "fold_mae": 2.5}
    assert ridge.data.tags["mlflow.parentRunId"] == run_id


def test_a_tuned_candidate_is_a_child_of_its_own_with_its_study(made, workload):
    study = Study(trials=15, pruned=4, failed=1, mae=1.5, declared_mae=2.0)
    made.log_run(
        record(workload, trials=(trial_of(card()), trial_of(card(params={"alpha": 0.1}, mae=1.5, study=study))))
    )
    declared, tuned = (children(made, workload)[f"growth/ridge{title}"] for title in ("", " tuned"))
    assert (declared.data.tags["params"], tuned.data.tags["params"]) == ("declared", "tuned")
    assert (declared.data.params["alpha"], tuned.data.params["alpha"]) == ("0.5", "0.1")
    wanted = {"trials": 15, "trials_pruned": 4, "trials_failed": 1, "best_mae": 1.5, "declared_mae": 2.0, "mae": 1.5}
    assert wanted.items() <= tuned.data.metrics.items() and not {"trials", "best_mae"} & set(declared.data.metrics)


def test_a_failed_candidate_is_a_failed_child(made, workload):
    failed = trial_of(card("mlp", status="failed", reason="did not converge", mae=None, skill=float("nan")))
    made.log_run(record(workload, trials=(failed,)))
    child = children(made, workload)["growth/mlp"]
    assert (child.info.status, child.data.tags["reason"]) == ("FAILED", "did not converge")
    assert "skill" not in child.data.metrics


def test_logging_the_same_run_again_makes_no_second_one(made, workload):
    assert made.log_run(record(workload)) == made.log_run(record(workload))
    assert len(runs(made, workload)) == 3


def test_another_run_key_is_another_run(made, workload):
    assert made.log_run(record(workload)) != made.log_run(record(workload, run_key="key2"))
    assert len(runs(made, workload)) == 6


def test_a_run_whose_logging_was_killed_is_completed(made, workload, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(made, "_log_datasets", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            made.log_run(record(workload, trials=record(workload).trials[:1]))
    run_id = made.log_run(record(workload))
    assert len(runs(made, workload)) == 3
    assert {run.info.status for run in runs(made, workload)} == {"FINISHED"}
    assert len(made._client.get_metric_history(run_id, "skill")) == 1


def test_artifacts_lie_in_the_home_and_nowhere_else(made, workload, tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "report.html").write_text("<p>")
    made.log_run(record(workload))
    made.attach(workload, "key1", tmp_path / "report.html")
    assert list((made.folder / "artifacts" / workload).rglob("report.html"))
    assert list((tmp_path / "cwd").iterdir()) == []


def test_a_page_is_attached_to_the_run_of_its_key(made, workload, tmp_path):
    (tmp_path / "report.html").write_text("<p>")
    run_id = made.log_run(record(workload))
    made.attach(workload, "key1", tmp_path / "report.html")
    made.attach(workload, "nobody's key", tmp_path / "report.html")
    assert [each.path for each in made._client.list_artifacts(run_id)] == ["report.html"]


def test_a_home_that_was_moved_keeps_its_files_where_it_is_now(made, workload, tmp_path):
    folder = made.folder.parent / "store"
    version = made.register(CHALLENGER, made.log_run(record(workload)), DirectoryStore(folder), {})
    old = {path for path in made.folder.rglob("*.html")}
    shutil.copytree(made.folder.parent, tmp_path / "100% here")
    (tmp_path / "report.html").write_text("<p>")

    here = Registry(tmp_path / "100% here" / "mlflow")
    here.attach(workload, "key1", tmp_path / "report.html")
    assert [path.name for path in (here.folder / "artifacts" / workload).rglob("*.html")] == ["report.html"]
    assert {path for path in made.folder.rglob("*.html")} == old
    source = here._client.get_model_version(CHALLENGER.workload, version).source
    assert source.startswith((tmp_path / "100% here" / "store").as_uri())
    assert Registry(here.folder).knows(CHALLENGER.workload, CHALLENGER.manifest_digest)


def test_a_bundle_has_one_version_however_often_it_is_registered(made, workload, store):
    challenger = replace(CHALLENGER, workload=workload)
    run_id = made.log_run(record(workload))
    first = made.register(challenger, run_id, store, {"ring": "dev"})
    assert made.register(challenger, run_id, store, {}) == first == "1"
    assert made.register(replace(challenger, manifest_digest="e" * 64), run_id, store, {}) == "2"
    version = made._client.get_model_version(workload, "1")
    assert version.tags == {"ring": "dev", "bundle_digest": "d" * 64, "bundle_version": "abc"}
    assert (version.run_id, version.source) == (run_id, f"{store.uri}/bundles/{workload}/abc.json")


@pytest.fixture
def server(made, tmp_path):
    """The address of a real MLflow server over the same database."""
    port = str(free_port())
    kept = ["--backend-store-uri", made.uri, "--no-serve-artifacts", "--default-artifact-root", tmp_path.as_uri()]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *kept]
    with (tmp_path / "server.log").open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, cwd=tmp_path)
    try:
        eventually(lambda: answers(child, f"http://127.0.0.1:{port}/health"), seconds=600)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(child)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_server_takes_a_bundle_of_a_folder_it_cannot_see_and_points_its_alias_at_it(made, workload, store, server):
    asked, challenger = Registry(made.folder, server), replace(CHALLENGER, workload=workload)
    run_id = asked.log_run(record(workload))
    assert asked.register(challenger, run_id, store, {}) == "1"
    # As the registry that lost it is told of it again: without its run.
    lost = replace(challenger, version="lost", manifest_digest="e" * 64)
    assert asked.register(lost, "", store, {}) == "2"
    assert asked.point(workload, "champion", lost.manifest_digest)
    assert asked.alias(workload, "champion") == lost.manifest_digest
    sources = [made._client.get_model_version(workload, version).source for version in ("1", "2")]
    assert sources == [f"greenlight://bundles/{workload}/{name}.json" for name in ("abc", "lost")]


def test_an_alias_is_moved_once_and_can_be_read(made, workload, store):
    challenger = replace(CHALLENGER, workload=workload)
    assert made.alias(workload, "champion-dev") is None
    run_id = made.log_run(record(workload))
    made.register(challenger, run_id, store, {})
    made.register(replace(challenger, manifest_digest="e" * 64), run_id, store, {})
    assert made.point(workload, alias_of("dev"), "d" * 64)
    assert not made.point(workload, alias_of("dev"), "d" * 64)
    assert made.alias(workload, "champion-dev") == "d" * 64
    assert made.point(workload, alias_of("dev"), "e" * 64)


def test_an_alias_of_a_bundle_nobody_registered_is_refused(made, workload):
    with pytest.raises(HomeDamaged, match="no registered version has the bundle dddddddddddd"):
        made.point(workload, "champion", "d" * 64)


def test_a_registry_that_lost_its_database_gets_the_champion_again(tmp_path, store):
    signer = service_signer(tmp_path / "keys")
    challenger = bundles.publish(store, signer, "channels", {"a.txt": b"a"}, About(("growth",)))
    drafted = Entry(
        "channels", 0, "promotion", "dev", challenger.version, challenger.manifest_digest, (), "e", "p", "policy", "r",
        "now", "", "key1",
    )  # fmt: skip
    ledger.append(store, signer, drafted, 0)
    empty = Registry(tmp_path / "mlflow")
    said = reconcile(store, signer.trust(), empty, "channels", "dev")
    assert [change.split(" of channels")[0] for change in said[1:]] == [
        f"the registry had lost {challenger.version}",
        "the registry's alias champion-dev",
    ]
    assert empty.alias("channels", "champion-dev") == challenger.manifest_digest
    version = empty._client.get_model_version("channels", "1")
    assert (version.tags["bundle_version"], version.tags["run_key"]) == (challenger.version, "key1")
    assert reconcile(store, signer.trust(), empty, "channels", "dev") == ()


@pytest.fixture
def answering(monkeypatch):
    """Start an MLflow server that answers every request with one status, and give its address."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    started = []

    def start(status, said, asked=None):
        asked = [] if asked is None else asked

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.headers.get("Authorization"))
                body = json.dumps({"error_code": said, "message": "no"}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        started.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "said"), [(400, "INVALID_PARAMETER_VALUE"), (403, "PERMISSION_DENIED"), (401, "UNAUTHENTICATED")]
)
def test_a_server_that_refuses_is_not_asked_again(tmp_path, answering, status, said):
    with pytest.raises(BadRequest, match=r"refused what was asked .* asking again would not help"):
        Registry(tmp_path, answering(status, said)).alias("channels", "champion")


@pytest.mark.parametrize(("status", "said"), [(500, "INTERNAL_ERROR"), (503, "TEMPORARILY_UNAVAILABLE")])
def test_a_server_that_is_out_of_order_may_be_asked_again(tmp_path, answering, status, said):
    with pytest.raises(Unreachable, match="did not answer"):
        Registry(tmp_path, answering(status, said)).alias("channels", "champion")


# With MLflow's own settings it takes more than five minutes to say so.
@pytest.mark.timeout(240)
def test_a_server_that_is_not_there_may_be_asked_again(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match="did not answer"):
        Registry(tmp_path, address).alias("channels", "champion")


@pytest.mark.parametrize("status", [403, 503])
def test_a_server_is_asked_with_the_password_of_its_address_which_no_error_tells(
    tmp_path, answering, monkeypatch, status
):
    for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(variable, "")
    asked = []
    address = answering(status, "no", asked).replace("://", "://mlops:pl4nted%2Fsecret@")
    with pytest.raises((BadRequest, Unreachable)) as refused:
        Registry(tmp_path, address).alias("channels", "champion")
    assert asked[0] == "Basic " + base64.b64encode(b"mlops:pl4nted/secret").decode()
    told = "".join(traceback.format_exception(refused.value))
    assert "127.0.0.1" in told and "pl4nted" not in told and "mlops" not in told


def test_a_database_is_named_without_its_password():
    registry = Registry(Path("mlflow"), "postgresql://ann:pl4nted@db.example/mlflow")
    assert registry.uri == "postgresql://db.example/mlflow"
    with pytest.raises(BadRequest) as refused, translated(registry.uri):
        raise ValueError("postgresql://ann:pl4nted@db.example/mlflow is no tracking address")
    assert "pl4nted" not in str(refused.value)


@pytest.mark.parametrize(
    ("raised", "wanted"),
    [
        (OperationalError("insert", {}, Exception("database is locked")), Unreachable),
        (OperationalError("insert", {}, Exception("no such column: x")), BadRequest),
        (OperationalError("insert", {}, Exception("database or disk is full")), OutOfSpace),
        (OSError(28, "No space left on device"), OutOfSpace),
        (PermissionError(13, "Permission denied"), OutOfSpace),
        (TypeError("unexpected keyword"), BadRequest),
    ],
)
def test_only_a_locked_database_of_ours_may_be_asked_again(raised, wanted):
    with pytest.raises(wanted), translated("sqlite:////home/mlflow.db"):
        raise raised


def test_the_alias_of_production_is_the_plain_one():
    assert (alias_of("prod"), alias_of("dev"), alias_of("qa")) == ("champion", "champion-dev", "champion-qa")


def test_a_trial_without_numbers_is_a_trial(made, workload):
    made.log_run(record(workload, trials=(Trial("bare"),)))
    assert children(made, workload)["bare"].info.status == "FINISHED"


def test_a_garbled_database_is_damaged(tmp_path):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(HomeDamaged, match=r"MLflow's database sqlite:.* is damaged"):
        Registry(tmp_path / "mlflow").alias("channels", "champion")


def test_the_module_does_not_import_mlflow():
    script = "import sys, tasks.adapters.registry; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.slow
def test_two_processes_that_make_the_database_at_once_both_can_use_it(tmp_path):
    script = """
import sys
from pathlib import Path
from tasks.adapters.registry import Record, Registry
print(Registry(Path(sys.argv[1]) / "mlflow").log_run(Record("channels", sys.argv[2], "r")))
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name], cwd=ROOT, env=environment)
        for name in ("a", "b")
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "mlflow").iterdir()) == ["mlflow.db"]
    assert len(runs(Registry(tmp_path / "mlflow"), "channels")) == 2
