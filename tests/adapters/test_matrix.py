from concurrent.futures import Future

from tasks.core.values import Study
from tasks.errors import OutOfMemory
from tasks.matrix import answered
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import Candidate


def test_a_candidate_that_kills_its_workers_is_a_failed_scorecard_and_a_tuned_one_is_told_from_the_declared():
    answer = Future()
    answer.set_exception(OutOfMemory("its worker was killed 3 times"))
    target, candidate = CHANNELS.targets[0], Candidate("catboost")
    declared, tuned = answered(answer, target, candidate), answered(answer, target, candidate, Study())
    assert [card.status for card in (declared, tuned)] == ["failed", "failed"]
    assert "killed 3 times" in tuned.reason
    assert (declared.study, tuned.study) == (None, Study())
