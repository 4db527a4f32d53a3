"""Tuning's thinking: how much is wanted, where to look, and that only the training part is ever looked at."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.core import tuning
from tasks.core.estimators import ALGORITHMS
from tasks.core.models import learn
from tasks.core.scales import label_unit
from tasks.core.training import score_candidate, set_exercises, training_rows
from tasks.core.tuning import Tuning, judge_of, space, with_params
from tasks.errors import Misdeclared
from tasks.workloads import WORKLOADS, get
from tasks.workloads.spans import Log, Span, Whole
from tasks.workloads.spec import Candidate
from tests.builders import quick, shops, shops_spec

SPEC = shops_spec()
TARGET = SPEC.targets[0]


def always(_step: int, _error: float) -> bool:
    return True


def judging(candidate: Candidate, rows: int = 120):
    frame = shops(rows)
    exercises = set_exercises(SPEC, training_rows(SPEC, frame, TARGET), TARGET)
    return judge_of(SPEC, frame, TARGET, candidate, exercises)


def test_nothing_is_tuned_unless_somebody_asks():
    assert not Tuning().wanted
    assert Tuning(trials=1).wanted and Tuning(seconds=0.5).wanted


def test_seconds_are_shared_evenly_and_trials_are_per_candidate_and_target():
    assert Tuning(trials=15, seconds=70).share(SPEC) == Tuning(trials=15, seconds=70 / len(SPEC.candidates))
    assert Tuning(seconds=60).share(SPEC).trials == tuning.MOST_TRIALS


@pytest.mark.parametrize("wrong", [{"trials": -1}, {"trials": 1001}, {"seconds": -1}, {"seconds": 1e9}, {"hours": 1}])
def test_a_budget_out_of_bounds_is_refused(wrong):
    with pytest.raises(ValidationError):
        Tuning(**wrong)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_declared_is_what_a_study_begins_with(algorithm):
    """Every value a learner takes unasked stands in the table, or the first trial would be another candidate."""
    candidate, rows = quick(algorithm), shops(80)
    begun = with_params(candidate, space(candidate).declared)
    unit = label_unit(TARGET, rows["sales"].to_numpy())
    plain, first = (learn(SPEC, rows, TARGET, each, unit=unit).link(rows) for each in (candidate, begun))
    assert set(begun.params) > set(candidate.params) or algorithm in ("elastic_net", "tfidf")
    assert plain.tolist() == first.tolist()


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_declared_candidate_lies_in_its_space(workload):
    for candidate in get(workload).candidates:
        found = space(candidate)
        assert set(found.spans) == set(ALGORITHMS[candidate.algorithm].search)
        assert all(span.low <= found.declared[name] <= span.high for name, span in found.spans.items())


def test_a_span_is_stretched_to_hold_what_is_declared_and_a_candidates_own_goes_before_the_tables():
    found = space(Candidate("elastic_net", {"alpha": 2.0, "l1_ratio": 0.3}, {"l1_ratio": Span(0.2, 0.4)}))
    assert found.spans == {"alpha": Log(0.0005, 2.0), "l1_ratio": Span(0.2, 0.4)}
    assert found.declared == {"alpha": 2.0, "l1_ratio": 0.3}


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"depth": Whole(8, 3)}, "xgboost is searched for depth from 8 to 3; wanted: low below high"),
        ({"depth": Log(0, 3)}, "above 0 on a log scale"),
        ({"gamma": Span(0, 1)}, "gamma, of which neither its parameters nor the span's usual say a value"),
    ],
)
def test_a_search_that_contradicts_itself_is_refused_where_it_is_declared(search, said):
    with pytest.raises(Misdeclared, match=said):
        shops_spec(candidates=(Candidate("xgboost", {"depth": 3}, search),))


def test_parameters_are_judged_by_the_number_candidates_are_chosen_by():
    candidate = quick("elastic_net")
    assert judging(candidate)({}, always) == score_candidate(SPEC, shops(120), TARGET, candidate).scorecard.mae
    assert judging(candidate)({"alpha": 10.0}, always) > judging(candidate)({}, always)


def test_it_is_asked_after_every_fold_but_the_last_whether_to_go_on():
    told: list[tuple[int, float]] = []

    def until_the_third(step: int, error: float) -> bool:
        told.append((step, error))
        return step < 2

    judge = judging(quick("elastic_net"))
    assert judge({}, until_the_third) is None
    assert [step for step, _ in told] == [0, 1, 2]
    told.clear()
    assert judge({}, lambda step, error: not told.append((step, error))) is not None
    assert [step for step, _ in told] == [0, 1, 2, 3, 4]


def test_seeds_differ_by_place_and_by_nothing_else():
    places = [(TARGET, candidate, trial) for candidate in SPEC.candidates for trial in (0, 1)]
    assert len({tuning.seed(SPEC, *place) for place in places}) == len(places)
    assert tuning.seed(SPEC, *places[0]) == tuning.seed(shops_spec(), *places[0])
