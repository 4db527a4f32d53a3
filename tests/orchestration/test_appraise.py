"""What came true beside what was predicted, on a real Prefect API: errors that stay too large are one retrain."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import polars as pl
import pytest

from tests.command_line import ask_api, eventually
from tests.serving import line_in, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
DAYS = ("2026-11-17", "2026-11-18", "2026-11-19")

# What came true is twenty times what it was when it was scored, whichever targets the champion serves.
LABELS = ("subscribers", "highest_yearly_earnings", "subscribers_for_last_30_days")
REPLAY = """
import json, sys
from prefect.events.worker import EventsWorker
from flows.appraise import appraise
from flows.score import score
from tasks.core.digests import canonical_json
done = []
for what, day, source in json.loads(sys.argv[1]):
    if what == "score":
        score("channels", source, ring="dev", date=day)
    else:
        done.append(canonical_json(appraise("channels", source, ring="dev", date=day)).decode())
EventsWorker.drain_all(timeout=240)
print("[" + ",".join(done) + "]")
"""


@pytest.fixture(scope="module")
def running(first_run, checkout, sources, tmp_path_factory):
    """``up`` on a home whose dev ring has a champion, with everything deployed and rows to retrain on."""
    folder = tmp_path_factory.mktemp("degraded")
    (folder / "checkout/landing/channels").mkdir(parents=True)
    for each in checkout.iterdir():
        (folder / "checkout" / each.name).symlink_to(each)
    (folder / "checkout/landing/channels/rows.csv").write_bytes(sources["first"].read_bytes())
    first_run.copied_to(folder / "home")
    with started(line_in(folder, folder / "checkout")) as running:
        done = running.line("deploy")
        assert done.rc == 0, done.err
        yield running


@pytest.fixture(scope="module")
def scored(checkout, tmp_path_factory):
    """Three days' rows, no two alike, and what came true of each."""
    folder = tmp_path_factory.mktemp("days")
    script = "import sys; from tasks.workloads.channels import CHANNELS\n"
    script += "for seed in sys.argv[1:]: CHANNELS.generate(300, int(seed)).write_csv(f'{seed}.csv')"
    subprocess.run([sys.executable, "-c", script, *"123"], env={"PYTHONPATH": str(checkout)}, cwd=folder, check=True)
    for seed in "123":
        rows = pl.read_csv(folder / f"{seed}.csv", infer_schema_length=None)
        rows.select("Youtuber", pl.col(LABELS).cast(pl.Float64) * 20).write_csv(folder / f"{seed}-labels.csv")
    return {
        day: (str(folder / f"{n}.csv"), str(folder / f"{n}-labels.csv")) for n, day in zip("123", DAYS, strict=True)
    }


def test_two_days_below_the_floor_start_one_retrain_and_saying_it_again_starts_none(running, scored):
    one, two, three = DAYS

    def replay(*steps):
        asked = [(what, day, scored[day][what == "appraise"]) for what, day in steps]
        environment = running.line.environment() | {"PREFECT_API_URL": running.api}
        command = [sys.executable, "-c", REPLAY, json.dumps(asked)]
        out = subprocess.run(command, env=environment, cwd=running.line.cwd, check=True, stdout=subprocess.PIPE)
        return json.loads(out.stdout.splitlines()[-1])

    first, second = replay(("score", one), ("score", two), ("appraise", one), ("appraise", two))
    assert first["degraded"] is None and first["changed"] == [one]
    told = second["degraded"]
    assert (told["since"], told["until"], second["changed"]) == (one, two, [two]) and "wanted" in told["because"]
    eventually(lambda: outcomes(running) == {"Completed": 1}, seconds=1000)
    (asked,) = (run["parameters"] for run in running.runs("retrain/channels"))
    incident = f"performance.degraded:{told['incident']}"
    assert (asked["workload"], asked["source"]) == ("channels", "landing/channels")
    assert (asked["reason"], asked["incident"]) == ("performance.degraded", incident)

    # The same labels are no news; a third such day tells the same incident once more.
    again, third = replay(("appraise", two), ("score", three), ("appraise", three))
    assert again["changed"] == [] and again["degraded"] == told
    assert (third["degraded"]["incident"], third["degraded"]["until"]) == (told["incident"], three)
    eventually(lambda: outcomes(running) == {"Completed": 1, "Swallowed": 1}, seconds=1000)
    assert {run["parameters"]["incident"] for run in running.runs("retrain/channels")} == {incident}
    store = running.line.home / "store"
    kinds = [json.loads(each.read_bytes())["kind"] for each in sorted(store.glob("incidents/channels/notes/*.json"))]
    assert kinds == ["confirmed", "retrained"]

    heard = eventually(lambda: heard_of(running.api), seconds=240)
    assert {each["payload"]["incident"] for each in heard} == {told["incident"]}
    assert {each["payload"]["ring"] for each in heard} == {"dev"} and len({each["id"] for each in heard}) == 2
    assert "larger than it was let out with" in (store / "reports/channels/errors-dev.html").read_text()
    assert len(list((store / "observations/channels/dev").rglob("*performance_below_floor.json"))) == 3


def outcomes(running) -> Counter[str]:
    """Count the retrains by how they stand."""
    return Counter(run["state_name"] for run in running.runs("retrain/channels"))


def heard_of(api: str) -> list[dict]:
    """Return the events that tell of it."""
    asked = {"filter": {"event": {"name": ["performance.degraded"]}}}
    return ask_api(api, "/events/filter", asked)["events"]
