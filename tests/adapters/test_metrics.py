"""Figures for Prometheus: counted from records, written whole, and the very names that dashboards and rules ask for."""

from __future__ import annotations

import json
import re
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tasks.adapters import journal, metrics
from tasks.core.metrics_families import FAMILIES, PREFIX, Sample
from tasks.core.run import StageTime
from tasks.errors import OutOfSpace, Unreachable
from tests.released import FIRST, Released

INFRA = Path(__file__).parents[2] / "infra/monitoring"
TOLD = tuple(Sample(name, tuple("x" for _ in family.labels), 1.0) for name, family in FAMILIES.items())
SUFFIX = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
NAMES = {f"{PREFIX}{name}{suffix}": name for name, family in FAMILIES.items() for suffix in SUFFIX[family.kind]}


@pytest.fixture
def home(tmp_path):
    made = Released(tmp_path)
    made.promote("first")
    made.promote("second")
    for number, status in enumerate(("promoted", "promoted", "not promoted")):
        verdicts = [{"gate": "soak", "outcome": "pass"}, {"gate": "skill", "outcome": "fail"}]
        record = {"promotion": {"status": status, "verdicts": verdicts}}
        made.store.put(f"runs/shops/{number}.json", json.dumps(record).encode())
    journal.append(tmp_path, "shops", "run", StageTime("train", 70.0, 60.0))
    journal.append(tmp_path, "shops", "run", StageTime("train", 0.1, 0.1, reused=True))
    journal.append(tmp_path, "shops", "score/day", StageTime("score", 2.0, 2.0, rows=500))
    with (tmp_path / "runs/shops/run.jsonl").open("a") as torn:
        torn.write('{"stage": "eval')
    return made


def figures(home):
    said = metrics.text(metrics.gather(home.store, home.home, ["shops"], ["dev", "prod"]))
    return {
        (
            one.name,
            *(one.labels[label] for label in (*FAMILIES[NAMES[one.name]].labels, "le") if label in one.labels),
        ): (one.value)
        for family in text_string_to_metric_families(said)
        for one in family.samples
    }


def test_what_records_say_is_counted(home):
    found = figures(home)
    assert found["greenlight_runs_total", "shops", "promoted"] == 2
    assert found["greenlight_runs_total", "shops", "not promoted"] == 1
    assert found["greenlight_gates_total", "shops", "skill", "fail"] == 3
    assert found["greenlight_ledger_head", "shops"] == 2
    since = datetime.fromtimestamp(found["greenlight_champion_since_seconds", "shops", "prod"], FIRST.tzinfo)
    assert (since - FIRST).total_seconds() == 3600
    assert found["greenlight_scored_rows_per_second", "shops"] == 250
    buckets = {
        each[3]: value
        for each, value in found.items()
        if each[:3] == ("greenlight_stage_seconds_bucket", "shops", "train")
    }
    assert (buckets["60.0"], buckets["300.0"], found["greenlight_stage_seconds_sum", "shops", "train"]) == (0, 1, 70)


def test_counted_twice_it_is_the_same_text(home):
    first, again = (metrics.text(metrics.gather(home.store, home.home, ["shops"], ["prod"])) for _ in range(2))
    assert first == again
    metrics.write(TOLD, home.home / "node/greenlight.prom")
    assert (home.home / "node/greenlight.prom").read_text() == metrics.text(TOLD)
    assert [path.name for path in (home.home / "node").iterdir()] == ["greenlight.prom"]


def test_a_file_that_cannot_be_written_and_a_gateway_that_is_not_there_are_said_plainly(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutOfSpace, match="GREENLIGHT_METRICS_FILE"):
        metrics.write(TOLD, tmp_path / "file/greenlight.prom")
    with pytest.raises(Unreachable, match="GREENLIGHT_PUSHGATEWAY"):
        metrics.push(TOLD, "127.0.0.1:9")


def test_a_gateway_gets_the_same_text():
    heard = []

    class Gateway(BaseHTTPRequestHandler):
        def do_PUT(self):
            heard.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        Thread(target=server.handle_request, daemon=True).start()
        metrics.push(TOLD, f"127.0.0.1:{server.server_port}")
    assert heard == [("/metrics/job/greenlight", metrics.text(TOLD))]


def asked(text):
    return set(re.findall(rf"{PREFIX}[a-z_]+", text))


def test_dashboard_and_rules_ask_for_nothing_that_is_not_told_and_the_dashboard_shows_all_of_it():
    dashboard = json.loads((INFRA / "dashboard.json").read_text())
    shown = {name for panel in dashboard["panels"] for query in panel["targets"] for name in asked(query["expr"])}
    rules = yaml.safe_load((INFRA / "alerts.yaml").read_text())["groups"]
    watched = {name for group in rules for rule in group["rules"] for name in asked(rule["expr"])}
    assert shown | watched <= NAMES.keys()
    assert {NAMES[name] for name in shown} == FAMILIES.keys()
    told = {one.name for family in text_string_to_metric_families(metrics.text(TOLD)) for one in family.samples}
    assert shown | watched <= told


def test_rules_and_panels_read_labels_that_there_are():
    text = (INFRA / "dashboard.json").read_text() + (INFRA / "alerts.yaml").read_text()
    labels = set(re.findall(r"\{\{ ?(?:\$labels\.)?([a-z]+) ?\}\}", text))
    assert labels <= {label for family in FAMILIES.values() for label in family.labels}
