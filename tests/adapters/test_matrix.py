from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from tasks import matrix, workloads
from tasks.core.training import failed
from tasks.core.tuning import Tuning
from tasks.core.values import Study
from tasks.errors import OutOfMemory
from tasks.matrix import answered, compete
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import Candidate
from tests.builders import shops_spec


def test_a_candidate_that_kills_its_workers_is_a_failed_scorecard_and_a_tuned_one_is_told_from_the_declared():
    answer = Future()
    answer.set_exception(OutOfMemory("its worker was killed 3 times"))
    target, candidate = CHANNELS.targets[0], Candidate("catboost")
    declared, tuned = answered(answer, target, candidate), answered(answer, target, candidate, Study())
    assert [card.status for card in (declared, tuned)] == ["failed", "failed"]
    assert "killed 3 times" in tuned.reason
    assert (declared.study, tuned.study) == (None, Study())


@pytest.mark.parametrize(("serves", "updates"), [(True, ["transformer"]), (False, [])])
def test_an_update_is_trained_where_something_serves_and_never_tuned(monkeypatch, serves, updates):
    spec = shops_spec(candidates=(Candidate("transformer", {"update": True}), Candidate("catboost")))
    asked = {"train": [], "tune": []}

    def office(name):
        def submit(run, training_set, target, candidate, *tuning):
            answer = Future()
            answer.set_result(failed(target, candidate, name))
            asked[name].append(candidate.algorithm)
            return answer

        return SimpleNamespace(submit=submit)

    monkeypatch.setattr(workloads, "get", lambda name: spec)
    for name in asked:
        monkeypatch.setattr(matrix, name, office(name))
    monkeypatch.setattr(matrix.updates, "has_ground", lambda run, target, each: serves or not each.params)
    cards = compete(SimpleNamespace(workload="shops"), None, Tuning(trials=2))
    assert asked == {"train": [*updates, "catboost"], "tune": ["catboost"]}
    assert [(card.algorithm, card.reason) for card in cards[-1:]] == [("catboost", "tune")]
