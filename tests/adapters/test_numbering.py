"""A version's number, given where it is let out: real bundles, a real ledger, dossiers by their digest."""

from dataclasses import replace

import pytest

from tasks.adapters import bundles, contents, dossiers, ledger, numbering
from tasks.adapters.registry import Registry
from tasks.core.comparison import Comparison
from tasks.core.digests import canonical_json
from tasks.core.dossier import Dossier
from tasks.core.evidence import Evidence, Portrait
from tasks.core.gates import NONE_YET
from tasks.core.manifest import About
from tasks.core.values import Blob, Contracted, Entry, Evaluation, Interval, Snapshot, TrainingSet
from tasks.workloads.spec import Gate
from tests.released import Released

BLOB = Blob("b" * 64, 10)
HALF = Interval(0.5, 0.4, 0.6)


def evidence(key, algorithm="xgboost", features=("area", "town")):
    judged = Evaluation(
        target="sales",
        algorithm=algorithm,
        model="models/sales",
        describes="shipped",
        rows_trained=180,
        rows_holdout=60,
        mae=HALF,
        rmse=1.0,
        r2=HALF,
        log_r2=0.8,
        spearman=0.9,
        skill=HALF,
        baseline="median",
        baselines=(),
        slices=(),
        coverage_wanted=0.9,
        coverage=HALF,
        importances=dict.fromkeys(features, 0.1),
        predictions=BLOB,
    )
    return Evidence(
        workload="shops",
        run_key=key,
        policy="p",
        measured_for=Gate(),
        code="c",
        snapshot=Snapshot("shops", BLOB, 240, "5" * 64, {}),
        contracted=Contracted("b" * 64, BLOB, BLOB, 240, 231, 9, ()),
        training_set=TrainingSet("shops", BLOB, 231, "b" * 64, "d", 231),
        leaks=(),
        scorecards=(),
        evaluations=(judged,),
        portrait=Portrait(None, None, {}, BLOB),
    )


class Numbered(Released):
    """Lets challengers out the way promote does: numbered, with a dossier."""

    def number(self, found, outcome="better", ring="dev"):
        files = {contents.EVIDENCE: canonical_json(found)}
        challenger = bundles.publish(self.store, self.signer, "shops", files, About(("sales",)))
        champion = ledger.champion(self.store, "shops", ring)
        compared = [Comparison("sales", "old", outcome, HALF, 0.05, 0.95, 60)] if champion else []
        number = numbering.wanted(self.store, self.keys, challenger.version, found, champion, compared)
        return challenger, number

    def let_out(self, found, outcome="better", ring="dev"):
        challenger, number = self.number(found, outcome, ring)
        asked = Dossier(
            workload="shops",
            ring=ring,
            version=challenger.version,
            run_key=found.run_key,
            requested_by="service",
            requested_at="",
            expires_at="",
            nonce="",
            manifest=challenger.manifest_digest,
            evidence="",
            snapshot="",
            definitions="",
            policy="",
            champion=NONE_YET,
            rollback=None,
            comparisons=(),
            verdicts=(),
            serves=("sales",),
            rehearsal=None,
            recommendation="greenlight",
            because="every gate passed",
            semantic_version=number,
        )
        dossiers.keep(self.store, asked)
        drafted = Entry(
            "shops",
            0,
            "promotion",
            ring,
            challenger.version,
            challenger.manifest_digest,
            ("sales",),
            "",
            "",
            "alice",
            "why",
            "now",
            "",
        )
        drafted = replace(drafted, evidence=asked.digest, run_key=found.run_key)
        champion = ledger.champion(self.store, "shops", ring)
        return number, ledger.append(self.store, self.signer, drafted, ledger.number_of(champion))


@pytest.fixture
def shop(tmp_path):
    return Numbered(tmp_path)


def test_numbers_follow_what_a_challenger_is_made_of_and_how_it_did(shop):
    assert shop.let_out(evidence("one"))[0] == "1.0.0"
    assert shop.let_out(evidence("two"), "better")[0] == "1.1.0"
    assert shop.let_out(evidence("three"), "non_inferior")[0] == "1.1.1"
    assert shop.let_out(evidence("four"), "inconclusive")[0] == "1.1.2"
    assert shop.let_out(evidence("five", algorithm="catboost"), "better")[0] == "2.0.0"
    assert shop.let_out(evidence("six", features=("area",)), "better")[0] == "3.0.0"


def test_a_version_keeps_its_number_through_the_rings(shop):
    shop.let_out(evidence("one"))
    shop.let_out(evidence("two"), "better")
    assert shop.let_out(evidence("one"), ring="qa")[0] == "1.0.0"
    assert shop.let_out(evidence("two"), "worse", ring="qa")[0] == "1.1.0"


def test_no_number_is_given_twice_after_a_rollback(shop):
    shop.let_out(evidence("one"))
    shop.let_out(evidence("two"), "better")
    shop.back(ring="dev")
    assert shop.let_out(evidence("three"), "better")[0] == "1.2.0"


def test_a_rerun_before_it_was_let_out_finds_the_same_number(shop):
    shop.let_out(evidence("one"))
    assert shop.number(evidence("two"))[1] == shop.number(evidence("two"))[1] == "1.1.0"


def test_an_entry_without_a_dossier_has_no_number(shop):
    shop.promote("old")
    assert numbering.given(shop.store, shop.keys, "shops") == {}


@pytest.mark.slow
def test_readers_of_the_registry_see_the_number_as_a_tag(shop, tmp_path):
    registry = Registry(tmp_path / "mlflow")
    _, entry = shop.let_out(evidence("one"))
    numbering.show(shop.store, registry, entry)
    bundle = bundles.open_bundle(shop.store, shop.trust, "shops", entry.version)
    registry.register(bundle.challenger, "", shop.store, {})
    numbering.show(shop.store, registry, entry)
    assert registry._client.get_model_version("shops", "1").tags["semantic_version"] == "1.0.0"
