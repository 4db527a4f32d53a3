from dataclasses import fields, replace

import pytest

from tasks.core.comparison import Comparison, not_compared
from tasks.core.dossier import OF_THE_ASKING, Dossier, RollbackTarget, changes, rollback_target
from tasks.core.gates import NONE_YET, Incumbent, Rehearsal
from tasks.core.values import Interval, Verdict

CHAMPION = Incumbent("old", ("growth",), "c" * 64, 4)


def dossier(**changes):
    asked = Dossier(
        workload="channels",
        ring="dev",
        version="new",
        run_key="run",
        requested_by="service",
        requested_at="2026-11-21T00:00:00+00:00",
        expires_at="",
        nonce="one",
        manifest="a" * 64,
        evidence="b" * 64,
        snapshot="d" * 64,
        definitions="e" * 64,
        policy="f" * 64,
        champion=CHAMPION,
        rollback=rollback_target(CHAMPION),
        comparisons=(Comparison("growth", "old", "better", Interval(-0.2, -0.3, -0.1), 0.02, 0.95, 60),),
        verdicts=(Verdict("leakage", "pass", "0 found", "no leak", ""),),
        serves=("growth",),
        rehearsal=Rehearsal("new", True, 20, 0.0, 1e-6),
        recommendation="greenlight",
        because="every gate passed",
    )
    return replace(asked, **changes)


OTHER = {
    "champion": NONE_YET,
    "rollback": RollbackTarget("older", "c" * 64, 2),
    "comparisons": (not_compared("growth", "old", margin=0.02, confidence=0.95, reason="no rows"),),
    "verdicts": (),
    "serves": (),
    "rehearsal": None,
    "recommendation": "hold",
}


@pytest.mark.parametrize("name", [each.name for each in fields(Dossier)])
def test_every_part_of_a_dossier_is_covered_by_its_digest(name):
    assert dossier(**{name: OTHER.get(name, "other")}).digest != dossier().digest


@pytest.mark.parametrize("name", [each.name for each in fields(Dossier)])
def test_the_question_is_the_same_whoever_asks_and_whenever(name):
    same = dossier(**{name: OTHER.get(name, "other")}).subject == dossier().subject
    assert same == (name in OF_THE_ASKING)


def test_a_rollback_would_bring_back_what_serves_now():
    assert rollback_target(CHAMPION) == RollbackTarget("old", "c" * 64, 4)
    assert rollback_target(NONE_YET) is None


def test_how_a_verdict_is_worded_makes_no_other_question_but_what_it_says_does():
    told = Verdict("age of the evidence", "pass", "3 hours", "at most 24", "")
    asked = dossier(verdicts=(told,))
    later = dossier(verdicts=(replace(told, found="5 hours"),), because="still fresh", nonce="two", requested_by="bob")
    assert asked.subject != later.subject
    assert changes(asked, later) == ()
    assert changes(asked, dossier(verdicts=(replace(told, outcome="fail"),))) == ("verdicts",)
    assert changes(asked, replace(asked, policy="0" * 64, snapshot="1" * 64)) == ("snapshot", "policy")
