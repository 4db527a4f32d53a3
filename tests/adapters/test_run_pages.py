"""Where the page of a run lies, and what is published beside it as rows, once per run however often it is drawn."""

from __future__ import annotations

from dataclasses import replace

from tasks.adapters import bundles, contents, frames, pages, partitions, reports
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer
from tasks.adapters.store import local_file
from tasks.core.run import Promotion
from tasks.core.values import Scorecard
from tests.builders import shops
from tests.contesting import SPEC, Home
from tests.deciding import dossier


def test_the_page_of_a_second_ring_leaves_that_of_the_first_alone(tmp_path):
    store, asked = DirectoryStore(tmp_path), dossier(ring="dev")
    first = pages.keep(store, asked, "<p>judged for dev")
    second = pages.keep(store, replace(asked, ring="prod"), "<p>judged for prod")
    assert first.read_text() == "<p>judged for dev"
    # MLflow keeps a run's files by their names alone.
    assert first.name != second.name
    assert local_file(store, pages.page_key(asked.workload, asked.version, asked.ring)) == first


def test_a_report_is_a_day_of_tables_replaced_as_a_whole(tmp_path):
    home = Home(tmp_path)
    signer, evidence = service_signer(home.keys), home.learnt(shops(240))
    bad = frames.keep(home.store, shops(7), tmp_path, "bad")
    held = replace(evidence.contracted, quarantined=bad, rows_in=247, rows_quarantined=7)
    cards = (*evidence.scorecards, Scorecard("sales", "hopeless", {"depth": 3}, "failed", reason="too few rows"))
    made = contents.publish(home.store, home.keys, SPEC, replace(evidence, contracted=held, scorecards=cards))
    manifest = bundles.read_manifest(home.store, signer.trust(), "shops", made.version)
    asked = dossier(ring="dev", version=made.version, evidence=manifest.files[contents.EVIDENCE].digest)
    promotion = Promotion("shops", made.version, "dev", 0, asked.digest, "rejected", "no", (), (), None, "")
    report = pages.gather(home.store, tmp_path, SPEC, asked, promotion)

    def publish(told):
        return reports.publish(home.store, signer, told, asked, tmp_path)

    pages.keep(home.store, asked, "<p>the same for people")
    assert publish(report) and not publish(report)
    assert publish(replace(report, outcome="promoted"))
    assert list(partitions.days(home.store, "reports", "shops")) == [("2026-11-21", f"dev-{made.version}")]
    day = partitions.read(home.store, signer.trust(), "reports", "shops", "2026-11-21", f"dev-{made.version}")
    assert (day.run, day.about["outcome"], day.about["rows_quarantined"]) == ("run1", "promoted", 7)
    assert day.about["pages"]["twin"] == f"dossiers/shops/{asked.digest[:16]}.json"
    tables = {name: partitions.scan(home.store, table).collect() for name, table in day.tables.items()}
    assert {name: frame.height for name, frame in tables.items()} == {name: t.rows for name, t in day.tables.items()}
    assert tables["quarantined"].equals(shops(7))
    scored, failed = tables["scorecards"].to_dicts()
    assert (scored["algorithm"], scored["mae"]) == ("elastic_net", evidence.scorecards[0].mae)
    assert (failed["mae"], failed["params"], failed["reason"]) == (None, '{"depth":3}', "too few rows")
    assert tables["holdout sales"]["predicted"].len() == evidence.evaluations[0].rows_holdout
