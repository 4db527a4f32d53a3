from dataclasses import dataclass, field, fields, replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tasks.core.comparison import Comparison, SliceComparison, not_compared, standing
from tasks.core.drift import Drift, Drifted
from tasks.core.evaluation import evaluate
from tasks.core.gates import (
    BUNDLE_GATES,
    KEEPS_TARGETS,
    NONE_YET,
    NOT_MONITORED,
    TARGET_GATES,
    Case,
    Incumbent,
    LatestBatch,
    Rehearsal,
    ShadowCycles,
    because,
    judge,
    let_out,
    on_greenlight,
    promotable,
    recommend,
    serves,
    tightened,
)
from tasks.core.paired import Odds
from tasks.core.values import Blob, Contracted, Evaluation, Interval, Recalibration, RuleResult, Scorecard
from tasks.errors import Misdeclared
from tasks.workloads.broadcast import BROADCAST
from tasks.workloads.spec import Gate

BLOB = Blob("0" * 64, 1)
TARGETS = ("subscribers", "growth")
NAN = float("nan")


@dataclass(frozen=True)
class Ring:
    ring: str = "dev"
    gate: dict = field(default_factory=dict)
    coverage_slack: float = 0.1
    automatic: bool = True
    after: str | None = None
    soak_cycles: int = 0
    max_evidence_age_hours: int | None = None
    max_rehearsal_age_hours: int | None = None


def contracted(rows_in=1000, quarantined=50, passed=True):
    rule = RuleResult("row count", "table", "critical", "a table has rows", passed)
    return Contracted("s", BLOB, BLOB, rows_in, rows_in - quarantined, quarantined, (rule,))


def evaluation(target, skill=(0.3, 0.2, 0.4), coverage=(0.8, 0.75, 0.85)):
    return Evaluation(
        target=target,
        algorithm="ridge",
        model=f"models/{target}.skops",
        describes="shipped",
        rows_trained=800,
        rows_holdout=200,
        units=200,
        mae=Interval(1, 0.9, 1.1),
        rmse=1.0,
        r2=Interval(0.4, 0.3, 0.5),
        log_r2=0.4,
        spearman=0.6,
        skill=Interval(*skill),
        baseline="median",
        baselines=(),
        slices=(),
        coverage_wanted=0.8,
        coverage=Interval(*coverage),
        importances={},
        predictions=BLOB,
    )


def compared(target, change=(-0.05, -0.08, -0.02), slices=()):
    change = Interval(*change)
    return Comparison(target, "old", standing(change, 0.02), change, 0.02, 0.95, 200, slices=slices)


def good(**changes):
    case = Case(
        version="new",
        targets=TARGETS,
        chances=(),
        contracted=contracted(),
        training_rows=950,
        measured_for=Gate(),
        leaks=(),
        evaluations=tuple(evaluation(target) for target in TARGETS),
        incumbent=Incumbent("old", TARGETS),
        comparisons=tuple(compared(target) for target in TARGETS),
        files=tuple(f"models/{target}.skops" for target in TARGETS),
        rehearsal=Rehearsal("new", True, 50, 0.0, 1e-6),
        rollback=Rehearsal("old", True, 50, 0.0, 1e-6, seconds=0.4, at="2026-11-21T08:00:00+00:00"),
        stopped="",
        stands_in=("dev",),
        rolled_back="",
        shadow=ShadowCycles(3, 3),
        measured_at="2026-11-20T09:00:00+00:00",
        judged_at="2026-11-21T09:00:00+00:00",
        drift=Drift(10, 800),
        latest=NOT_MONITORED,
    )
    return replace(case, **changes)


def verdict(case, gate, target="", policy=None):
    given_ = judge(case, Gate(), policy or Ring())
    return next(each for each in given_ if (each.gate, each.target) == (gate, target))


def outcome(case, gate, target=""):
    return verdict(case, gate, target).outcome


@pytest.mark.parametrize(
    ("r2", "wanted"),
    [((0.7, 0.6, 0.8), "pass"), ((0.69, 0.6, 0.75), "inconclusive"), ((0.5, 0.4, 0.69), "fail"), ((NAN,) * 3, "fail")],
)
def test_a_target_below_the_floor_of_r2_is_not_served(r2, wanted):
    evaluations = (evaluation("subscribers"), replace(evaluation("growth"), r2=Interval(*r2)))
    floor = Gate(min_r2=0.7, min_rows=100)
    case = good(evaluations=evaluations, measured_for=floor)
    verdicts = {(each.gate, each.target): each.outcome for each in judge(case, floor, Ring())}
    assert verdicts["explains enough", "growth"] == wanted
    assert verdicts["explains enough", "subscribers"] == "fail"
    assert outcome(case, "explains enough", "growth") == "pass"


def of_a_chance(odds=(1.0, 0.8, 1.2), slope=(1.0, 0.8, 1.2), units=20, **changes):
    """Return the case in which growth is a chance, with what its odds and logits must be multiplied by."""
    known = Recalibration(0.4, 0.45, units, odds and Interval(*odds), slope and Interval(*slope))
    said = replace(evaluation("growth"), recalibration=known)
    return good(**({"chances": ("growth",), "evaluations": (evaluation("subscribers"), said)} | changes))


@pytest.mark.parametrize(
    ("odds", "slope", "wanted", "word"),
    [
        ((1.0, 0.8, 1.2), (1.0, 0.8, 1.2), "pass", ""),
        ((1.0, 0.56, 1.81), (1.0, 0.56, 1.81), "pass", ""),
        ((1.0, 0.5, 1.5), (1.0, 0.8, 1.2), "inconclusive", ""),
        ((1.0, 0.8, 1.2), (1.2, 0.8, 2.0), "inconclusive", ""),
        ((1.0, 0.8, 1.2), (0.5, 0.4, 0.7), "fail", "too sure of itself"),
        ((1.0, 0.8, 1.2), (1.5, 1.42, 1.7), "fail", "too timid"),
        ((1.5, 1.42, 1.7), (1.0, 0.5, 2.0), "fail", "too little was said"),
        ((0.5, 0.4, 0.6), (0.5, 0.4, 0.6), "fail", "too much was said; too sure of itself"),
        ((-0.5, -0.9, -0.1), (-0.5, -0.9, -0.1), "fail", "too sure of itself"),
        ((1.0, 0.8, 1.2), None, "inconclusive", "40.0% was said and 45.0% came on average"),
        (None, None, "inconclusive", ""),
        ((2.0, 1.8, 2.2), None, "fail", "too little was said"),
        ((NAN, NAN, NAN), (1.0, 0.8, 1.2), "fail", "no number"),
    ],
)
def test_chances_that_surely_do_not_mean_what_they_say_fail_and_doubts_are_for_a_person(odds, slope, wanted, word):
    found = verdict(of_a_chance(odds, slope), "chances mean what they say", "growth")
    assert found.outcome == wanted and word in found.reason
    assert found.wanted == "odds and slope off by a factor of 1.40 at most, and surely by no more than 1.96"


@pytest.mark.parametrize("odds", [(1.0, 0.8, 1.2), (2.0, 2.0, 2.0)])
def test_an_interval_of_few_units_says_less_than_it_promises_and_decides_nothing(odds):
    found = verdict(of_a_chance(odds, units=19), "chances mean what they say", "growth")
    assert found.outcome == "inconclusive" and "19 units that are drawn whole show little, wanted 20" in found.reason


def test_of_what_is_no_chance_no_meaning_is_asked():
    assert verdict(good(), "chances mean what they say", "growth").found == "no chance"
    assert outcome(of_a_chance((9, 8, 10)), "chances mean what they say", "subscribers") == "pass"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chances": None}, "nobody said which targets are chances"),
        ({"evaluations": (evaluation("subscribers"), evaluation("growth"))}, "retrain"),
        ({"evaluations": (evaluation("subscribers"),)}, "no model of this target"),
        ({"measured_for": Gate(confidence=0.9)}, "measured with 0.9 confidence"),
    ],
)
def test_a_chance_of_which_nobody_looked_what_it_means_fails(change, reason):
    found = verdict(of_a_chance(**change), "chances mean what they say", "growth")
    assert found.outcome == "fail" and reason in found.reason


def test_evidence_written_before_anybody_looked_at_chances_reads_as_before():
    reads, written = TypeAdapter(Evaluation), of_a_chance().evaluations[1]
    plain = reads.dump_python(written, mode="json")
    assert reads.validate_python(plain) == written
    del plain["recalibration"]
    assert reads.validate_python(plain) == evaluation("growth")


def test_a_policy_may_narrow_what_a_chance_may_be_off_by():
    case = of_a_chance((1.2, 1.1, 1.3))
    assert outcome(case, "chances mean what they say", "growth") == "pass"
    narrow = Ring(gate={"max_chance_factor": 1.05})
    assert verdict(case, "chances mean what they say", "growth", narrow).outcome == "fail"


def test_a_challenger_with_all_good_evidence_may_be_promoted_and_serves_every_target():
    verdicts = judge(good(), Gate(), Ring())
    assert {each.outcome for each in verdicts} == {"pass"}
    assert promotable(verdicts)
    assert serves(verdicts, TARGETS) == TARGETS
    assert len(verdicts) == len(BUNDLE_GATES) + 1 + 2 * len(TARGET_GATES)


def test_the_first_challenger_has_no_champion_to_beat():
    verdicts = judge(good(incumbent=NONE_YET, comparisons=()), Gate(), Ring())
    assert promotable(verdicts)
    assert verdict(good(incumbent=NONE_YET, comparisons=()), "not worse than the champion", "growth").reason == (
        "no champion yet"
    )


@pytest.mark.parametrize("missing", [each.name for each in fields(Case)])
def test_evidence_that_nobody_gave_is_a_fail_and_never_a_skip(missing):
    assert not promotable(judge(good(**{missing: None}), Gate(), Ring()))
    assert verdict(good(**{missing: None}), "evidence complete").outcome == "fail"


def test_a_target_that_was_not_trained_serves_nobody_and_says_why_while_the_others_serve():
    case = good(
        evaluations=(evaluation("growth"),),
        incumbent=NONE_YET,
        comparisons=(),
        untrained={"subscribers": "target 'subscribers' is 7 in all 60 labelled rows."},
    )
    verdicts = judge(case, Gate(), Ring())
    assert promotable(verdicts) and serves(verdicts, TARGETS) == ("growth",)
    found = verdict(case, "beats the baseline", "subscribers")
    assert (found.outcome, found.reason) == ("fail", "not trained: target 'subscribers' is 7 in all 60 labelled rows.")


def test_a_policy_that_asks_for_more_confidence_than_was_measured_with_fails_the_gates_and_says_so():
    asked = Ring(gate={"confidence": 0.99})
    for gate in ("beats the baseline", "interval coverage"):
        found = verdict(good(), gate, "growth", asked)
        assert (found.outcome, found.reason) == (
            "fail",
            "measured with 0.95 confidence, and the policy asks for 0.99; retrain for this ring",
        )
    measured = good(measured_for=replace(Gate(), confidence=0.99))
    assert verdict(measured, "beats the baseline", "growth", asked).outcome == "pass"


@pytest.mark.parametrize("name", ["leak_r2", "leak_multiple_share"])
def test_a_policy_that_asks_for_a_closer_look_for_leaks_than_there_was_fails_the_gate(name):
    found = verdict(good(), "leakage", policy=Ring(gate={name: 0.4}))
    assert (
        found.outcome == "fail" and f"{name} of {getattr(Gate(), name):g}, and the policy asks for 0.4" in found.reason
    )
    assert verdict(
        good(measured_for=replace(Gate(), **{name: 0.4})), "leakage", policy=Ring(gate={name: 0.4})
    ).outcome == ("pass")


def test_an_empty_case_passes_no_gate():
    assert {each.outcome for each in judge(Case(), Gate(), Ring())} == {"fail"}


def test_the_reason_names_what_stood_in_the_way():
    verdicts = judge(good(leaks=("earnings = 4 × views",)), Gate(), Ring())
    assert because(verdicts, (), Ring()) == "leakage fail (1 found)"
    assert because(judge(good(), Gate(), Ring()), TARGETS, Ring()) == (
        "every gate of the bundle passed; serves subscribers, growth"
    )


def test_where_the_policy_asks_a_person_passing_every_gate_lets_nothing_out():
    verdicts, asks = judge(good(), Gate(), Ring()), Ring("prod", automatic=False)
    assert let_out(verdicts, Ring()) and not let_out(verdicts, asks)
    assert because(verdicts, TARGETS, asks) == (
        "every gate passed, but the policy of prod asks for a person's decision and there is none"
    )


def test_no_verdicts_at_all_promote_nothing():
    assert not promotable(())
    assert serves((), TARGETS) == ()


@pytest.mark.parametrize("gate", [*BUNDLE_GATES, KEEPS_TARGETS])
def test_without_the_verdict_of_a_gate_nothing_is_promoted(gate):
    verdicts = judge(good(), Gate(), Ring())
    assert not promotable(each for each in verdicts if each.gate != gate)


@pytest.mark.parametrize("gate", list(TARGET_GATES))
def test_a_target_without_the_verdict_of_a_gate_does_not_serve(gate):
    verdicts = [each for each in judge(good(), Gate(), Ring()) if (each.gate, each.target) != (gate, "growth")]
    assert serves(verdicts, TARGETS) == ("subscribers",)


def test_a_pass_given_twice_or_against_a_fail_does_not_count():
    verdicts = judge(good(), Gate(), Ring())
    assert not promotable((*verdicts, replace(verdicts[0], outcome="fail")))


@pytest.mark.parametrize(
    ("skill", "wanted"),
    [
        ((0.1, 0.01, 0.2), "pass"),
        ((0.1, 0.0, 0.2), "inconclusive"),
        ((0.0, -0.1, 0.1), "inconclusive"),
        ((-0.1, -0.2, 0.0), "fail"),
        ((-0.1, -0.2, -0.01), "fail"),
        ((NAN, NAN, NAN), "fail"),
        ((0.1, 0.2, NAN), "fail"),
        ((0.1, 0.2, 0.0), "fail"),
    ],
)
def test_the_whole_interval_of_the_skill_must_lie_above_the_baseline(skill, wanted):
    evaluations = (evaluation("subscribers"), evaluation("growth", skill=skill))
    assert outcome(good(evaluations=evaluations), "beats the baseline", "growth") == wanted


@pytest.mark.parametrize(
    ("units", "wanted", "said"),
    [(None, "fail", "nobody counted"), (4, "inconclusive", "drawn from 4 units"), (5, "pass", "'median'")],
)
def test_no_baseline_is_beaten_by_an_interval_of_too_few_units(units, wanted, said):
    evaluations = (evaluation("subscribers"), replace(evaluation("growth"), units=units))
    found = verdict(good(evaluations=evaluations), "beats the baseline", "growth")
    assert (found.outcome, said in found.reason) == (wanted, True)


def test_an_inconclusive_target_is_not_served_and_the_others_are():
    evaluations = (evaluation("subscribers"), evaluation("growth", skill=(0.1, -0.1, 0.2)))
    verdicts = judge(good(evaluations=evaluations, incumbent=NONE_YET, comparisons=()), Gate(), Ring())
    assert serves(verdicts, TARGETS) == ("subscribers",)
    assert promotable(verdicts)


def test_a_target_the_champion_serves_is_never_lost():
    evaluations = (evaluation("subscribers"), evaluation("growth", skill=(0.1, -0.1, 0.2)))
    case = good(evaluations=evaluations)
    assert verdict(case, KEEPS_TARGETS).reason == "would be lost: growth"
    assert not promotable(judge(case, Gate(), Ring()))


def test_a_target_the_champion_does_not_serve_may_be_added():
    case = good(incumbent=Incumbent("old", ("subscribers",)), comparisons=(compared("subscribers"),))
    assert serves(judge(case, Gate(), Ring()), TARGETS) == TARGETS


def test_where_no_target_may_serve_nothing_is_promoted():
    evaluations = tuple(evaluation(target, skill=(0.0, -0.1, 0.1)) for target in TARGETS)
    assert not promotable(judge(good(evaluations=evaluations, incumbent=NONE_YET, comparisons=()), Gate(), Ring()))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ((-0.1, -0.2, -0.05), "pass"),
        ((0.0, -0.01, 0.02), "pass"),
        ((0.0, -0.03, 0.03), "inconclusive"),
        ((0.05, 0.03, 0.07), "fail"),
        ((0.0, 0.0, NAN), "fail"),
        ((0.0, 0.0, 0.0), "pass"),
    ],
)
def test_a_challenger_may_be_worse_than_the_champion_by_the_margin_and_no_more(change, wanted):
    comparisons = (compared("subscribers"), compared("growth", change))
    assert outcome(good(comparisons=comparisons), "not worse than the champion", "growth") == wanted


def test_what_is_worse_beyond_doubt_fails_even_within_reach_of_the_margin():
    comparisons = (compared("subscribers"), compared("growth", (0.02, 0.01, 0.03)))
    assert outcome(good(comparisons=comparisons), "not worse than the champion", "growth") == "fail"


def test_what_could_not_be_compared_is_inconclusive_and_says_why():
    unfair = not_compared("growth", "old", margin=0.02, confidence=0.95, reason="the champion saw every row")
    found = verdict(good(comparisons=(compared("subscribers"), unfair)), "not worse than the champion", "growth")
    assert (found.outcome, found.found) == ("inconclusive", "nothing could be compared")
    assert found.reason == "against the champion old; the champion saw every row"


def test_what_the_rule_would_have_noticed_stands_beside_its_verdict():
    odds = Odds(400, 0.025, Interval(0.0225, 0.012, 0.042), 0.27, 0.05, 0.885, 1.0, 0.044)
    doubtful = replace(compared("growth", (0.0, -0.03, 0.03)), odds=odds)
    found = verdict(good(comparisons=(compared("subscribers"), doubtful)), "not worse than the champion", "growth")
    assert found.reason == (
        "against the champion old; on these rows an equal challenger passes in 27% and is called better in 2.2%, "
        "one 5% worse is called worse in 88%"
    )


def test_a_comparison_with_less_confidence_than_wanted_is_a_fail():
    weak = replace(compared("growth"), confidence=0.9)
    found = verdict(good(comparisons=(compared("subscribers"), weak)), "not worse than the champion", "growth")
    assert (found.outcome, found.reason) == ("fail", "the interval has a confidence of 90% only")


def test_a_comparison_on_the_laxer_margin_is_judged_by_the_policy_s():
    lax = replace(compared("growth", (0.0, -0.03, 0.03)), margin=0.05, outcome="non_inferior")
    found = verdict(good(comparisons=(compared("subscribers"), lax)), "not worse than the champion", "growth")
    assert found.outcome == "inconclusive"


def test_a_doubt_is_for_a_person_and_a_failure_for_nobody():
    def recommended(case):
        verdicts = judge(case, Gate(), Ring())
        return recommend(verdicts), on_greenlight(verdicts, TARGETS)

    doubtful = (compared("subscribers"), compared("growth", (0.0, -0.03, 0.03)))
    worse = (compared("subscribers"), compared("growth", (0.05, 0.03, 0.07)))
    assert recommended(good()) == ("greenlight", TARGETS)
    assert recommended(good(comparisons=doubtful)) == ("hold", TARGETS)
    assert recommended(good(comparisons=worse)) == ("reject", ("subscribers",))
    assert recommended(good(comparisons=doubtful, leaks=("a leak",)))[0] == "reject"
    first = good(
        incumbent=NONE_YET,
        comparisons=(),
        evaluations=(evaluation("growth"), evaluation("subscribers", (0.1, -0.1, 0.2))),
    )
    assert recommended(first) == ("greenlight", ("growth",))


def test_the_champion_itself_passes_again_when_its_run_is_repeated():
    case = good(version="old", rehearsal=Rehearsal("old", True, 50, 0.0, 1e-6), comparisons=())
    assert promotable(judge(case, Gate(), Ring()))


def test_a_comparison_with_another_champion_counts_for_nothing():
    comparisons = tuple(replace(compared(target), champion="older") for target in TARGETS)
    assert outcome(good(comparisons=comparisons), "not worse than the champion", "growth") == "fail"


def test_two_comparisons_of_one_target_count_for_nothing():
    comparisons = (*map(compared, TARGETS), compared("growth"))
    assert outcome(good(comparisons=comparisons), "not worse than the champion", "growth") == "fail"


@pytest.mark.parametrize(
    ("coverage", "wanted"),
    [
        ((0.8, 0.7, 0.9), "pass"),
        ((0.71, 0.6, 0.8), "pass"),
        ((0.66, 0.6, 0.71), "inconclusive"),
        ((0.6, 0.5, 0.69), "fail"),
        ((NAN, 0.7, 0.9), "fail"),
    ],
)
def test_prediction_intervals_may_cover_ten_points_less_than_promised(coverage, wanted):
    evaluations = (evaluation("subscribers"), evaluation("growth", coverage=coverage))
    assert outcome(good(evaluations=evaluations), "interval coverage", "growth") == wanted


@pytest.mark.parametrize(("quarantined", "wanted"), [(0, "pass"), (200, "pass"), (201, "fail"), (1000, "fail")])
def test_at_most_a_fifth_of_the_rows_may_be_quarantined(quarantined, wanted):
    assert outcome(good(contracted=contracted(quarantined=quarantined)), "quarantine share") == wanted


def test_rows_that_do_not_add_up_are_a_fail():
    lost = replace(contracted(), rows_accepted=900)
    assert verdict(good(contracted=lost), "quarantine share").reason == "rows do not add up"
    assert outcome(good(contracted=contracted(rows_in=0, quarantined=0)), "quarantine share") == "fail"


def test_a_broken_critical_rule_of_the_table_is_a_fail():
    assert outcome(good(contracted=contracted(passed=False)), "contract") == "fail"


def test_a_contract_without_a_rule_is_a_fail():
    assert outcome(good(contracted=replace(contracted(), results=())), "contract") == "fail"


def test_a_broken_warning_or_row_rule_does_not_stop_the_table():
    warning = RuleResult("fresh", "table", "warning", "newest row", False)
    row = RuleResult("low <= high", "row", "critical", "order", False, 3)
    results = (*contracted().results, warning, row)
    assert outcome(good(contracted=replace(contracted(), results=results)), "contract") == "pass"


def test_too_few_rows_are_a_fail():
    assert outcome(good(training_rows=99), "enough rows") == "fail"
    assert outcome(good(training_rows=100), "enough rows") == "pass"


def test_a_leak_is_a_fail_and_is_named():
    found = verdict(good(leaks=("earnings = 4 × views",)), "leakage")
    assert (found.outcome, found.reason) == ("fail", "earnings = 4 × views")


@pytest.mark.parametrize(
    "rehearsal",
    [
        Rehearsal("old", True, 50, 0.0, 1e-6),
        Rehearsal("new", False, 50, 0.0, 1e-6, "no module named skops"),
        Rehearsal("new", True, 0, 0.0, 1e-6),
        Rehearsal("new", True, 50, 1e-5, 1e-6),
        Rehearsal("new", True, 50, NAN, 1e-6),
        Rehearsal("new", True, 50, float("inf"), float("inf")),
        Rehearsal("new", True, 50, -1.0, 1e-6),
    ],
)
def test_a_bundle_that_does_not_predict_the_golden_sample_again_is_a_fail(rehearsal):
    assert outcome(good(rehearsal=rehearsal), "bundle rehearsed") == "fail"


def test_a_model_that_is_not_in_the_bundle_is_a_gap_in_the_evidence():
    found = verdict(good(files=("models/growth.skops",)), "evidence complete")
    assert (found.outcome, found.reason) == ("fail", "the model of subscribers is not in the bundle")


def test_an_evaluation_of_an_undeclared_target_is_a_gap_in_the_evidence():
    assert outcome(good(targets=("growth",)), "evidence complete") == "fail"


def test_a_declared_target_without_a_model_does_not_serve_and_does_not_stop_the_others():
    case = good(evaluations=(evaluation("growth"),), incumbent=NONE_YET, comparisons=())
    verdicts = judge(case, Gate(), Ring())
    assert promotable(verdicts)
    assert serves(verdicts, TARGETS) == ("growth",)


def test_a_policy_tightens_the_numbers_of_a_workload():
    gate = tightened(Gate(), Ring(gate={"min_rows": 500.0, "max_quarantine_share": 0.05, "min_skill": 0.1}))
    assert (gate.min_rows, gate.max_quarantine_share, gate.min_skill) == (500, 0.05, 0.1)
    assert outcome(good(training_rows=400), "enough rows") == "pass"
    assert verdict(good(training_rows=400), "enough rows", policy=Ring(gate={"min_rows": 500})).outcome == "fail"


@pytest.mark.parametrize(
    "number",
    [
        {"min_rows": 99},
        {"min_skill": -0.1},
        {"confidence": 0.9},
        {"max_quarantine_share": 0.3},
        {"leak_r2": 0.99},
        {"non_inferiority_margin": 0.05},
        {"min_skill": NAN},
        {"min_rows": float("inf")},
    ],
)
def test_a_policy_never_relaxes_the_numbers_of_a_workload(number):
    with pytest.raises(Misdeclared, match="a policy may only tighten"):
        judge(good(), Gate(), Ring(gate=number))


def test_a_policy_with_an_unknown_number_is_misdeclared():
    with pytest.raises(Misdeclared, match="no gate number 'min_row'"):
        judge(good(), Gate(), Ring(gate={"min_row": 5}))


STRICT = Ring("prod", after="qa", soak_cycles=3, max_evidence_age_hours=24, max_rehearsal_age_hours=2)


def strictly(case, gate, target=""):
    return verdict(case, gate, target, STRICT)


def test_a_strict_ring_lets_out_what_brings_everything_it_asks_for():
    assert promotable(judge(good(stands_in=("qa",)), Gate(), STRICT))


def test_a_stopped_line_fails_with_what_stopped_it():
    found = verdict(good(stopped="the line was stopped by alice"), "line running")
    assert (found.outcome, found.found, found.reason) == ("fail", "stopped", "the line was stopped by alice")


@pytest.mark.parametrize(("stands_in", "wanted"), [(("qa",), "pass"), (("dev",), "fail"), ((), "fail"), (None, "fail")])
def test_no_ring_is_skipped(stands_in, wanted):
    assert strictly(good(stands_in=stands_in), "passed the ring before").outcome == wanted


AWAY = "alice rolled back from it at 2026-11-20T09:00:00+00:00: negative earnings"


@pytest.mark.parametrize(
    ("rolled_back", "automatic", "wanted"),
    [
        ("", True, "pass"),
        (AWAY, True, "fail"),
        (AWAY, False, "inconclusive"),
        (None, True, "fail"),
        (None, False, "fail"),
    ],
)
def test_what_was_rolled_back_from_is_let_out_again_by_a_person_only(rolled_back, automatic, wanted):
    ring = Ring("dev", automatic=automatic)
    verdicts = judge(good(rolled_back=rolled_back), Gate(), ring)
    assert verdict(good(rolled_back=rolled_back), "not rolled back from", policy=ring).outcome == wanted
    assert recommend(verdicts) == {"pass": "greenlight", "inconclusive": "hold", "fail": "reject"}[wanted]
    assert let_out(verdicts, ring) == (wanted == "pass")


@pytest.mark.parametrize(
    ("shadow", "wanted"),
    [
        (ShadowCycles(3, 3), "pass"),
        (ShadowCycles(2, 3), "fail"),
        (ShadowCycles(2, 2), "fail"),
        (ShadowCycles(3, 5), "fail"),
        (None, "fail"),
    ],
)
def test_a_challenger_soaks_for_as_many_clean_cycles_as_the_policy_asks(shadow, wanted):
    assert strictly(good(shadow=shadow), "soak").outcome == wanted


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"at": "2026-11-21T07:00:00+00:00"}, "pass"),
        ({"at": "2026-11-21T06:59:59+00:00"}, "fail"),
        ({"at": "2026-11-21T09:00:01+00:00"}, "fail"),
        ({"at": ""}, "fail"),
        ({"at": "2026-11-21T08:00:00"}, "fail"),
        ({"loaded": False}, "fail"),
        ({"rows": 0}, "fail"),
        ({"version": "older"}, "fail"),
        ({"largest_difference": 1e-5}, "fail"),
        ({"largest_difference": NAN}, "fail"),
        # It repeats its golden sample with the libraries of today: that is what a way back has to do.
        ({"other_versions": "xgboost 3.0 is installed, it was made with 2.1"}, "pass"),
    ],
)
def test_without_a_fresh_rehearsal_of_the_way_back_nothing_goes_forward(changes, wanted):
    case = good(rollback=replace(good().rollback, **changes))
    assert strictly(case, "rollback rehearsed").outcome == wanted


def test_a_ring_that_asks_for_no_rehearsal_says_what_came_of_it_and_goes_on():
    case = good(rollback=replace(good().rollback, loaded=False, reason="it died"))
    found = verdict(case, "rollback rehearsed")
    assert (found.outcome, found.found, found.reason) == ("pass", "it does not work", "it died")


def test_where_nothing_serves_there_is_nothing_to_go_back_to():
    case = good(incumbent=NONE_YET, comparisons=(), rollback=Rehearsal("", False, 0, 0.0, 0.0))
    assert strictly(case, "rollback rehearsed").reason == "no champion yet"


@pytest.mark.parametrize(
    ("measured_at", "wanted"),
    [
        ("2026-11-20T09:00:00+00:00", "pass"),
        ("2026-11-20T08:59:59+00:00", "fail"),
        ("2026-11-22T09:00:00+00:00", "fail"),
        ("", "fail"),
        (None, "fail"),
    ],
)
def test_evidence_may_be_a_day_old_where_the_policy_says_so(measured_at, wanted):
    assert strictly(good(measured_at=measured_at), "age of the evidence").outcome == wanted


def test_where_nobody_said_what_time_it_is_nothing_is_fresh():
    assert strictly(good(judged_at=None), "age of the evidence").reason == "nobody said what time it is"


@pytest.mark.parametrize(
    ("drift", "wanted"),
    [
        (Drift(4, 800, (Drifted("views", "distribution", 0.3), Drifted("town", "share of new values", 0.1))), "pass"),
        (Drift(3, 800, (Drifted("views", "distribution", 0.3), Drifted("town", "new", 0.1))), "inconclusive"),
        (Drift(4, 99), "inconclusive"),
        (Drift(0, 0, reason="the champion's bundle is damaged"), "inconclusive"),
        (None, "fail"),
    ],
)
def test_a_challenger_of_other_data_is_for_a_person_to_look_at(drift, wanted):
    assert outcome(good(drift=drift), "input drift") == wanted


MOVED = (Drifted("views", "distribution", 0.3), Drifted("town", "new", 0.1))


@pytest.mark.parametrize(
    ("latest", "wanted", "found", "reason"),
    [
        (NOT_MONITORED, "pass", "no batch was monitored", ""),
        (LatestBatch(7, Drift(10, 800)), "pass", "0% of 10 columns unlike batch 7", ""),
        (LatestBatch(7, Drift(4, 800, MOVED[1:])), "pass", "25% of 4 columns unlike batch 7", "town (new: 0.1)"),
        (
            LatestBatch(7, Drift(3, 800, MOVED)), "inconclusive", "67% of 3 columns unlike batch 7",
            "views (distribution: 0.3), town (new: 0.1)",
        ),
        (LatestBatch(7, Drift(0, 0, reason="gone")), "inconclusive", "batch 7 could not be compared", "gone"),
    ],
)  # fmt: skip
def test_a_challenger_unlike_the_latest_batch_is_for_a_person_to_look_at(latest, wanted, found, reason):
    said = verdict(good(latest=latest), "input drift")
    assert (said.outcome, said.reason) == (wanted, reason)
    assert said.found == f"0% of 10 columns unlike the champion's rows; {found}"


def test_a_bundle_made_with_other_libraries_fails_and_names_them():
    told = "xgboost 3.0 is installed, it was made with 2.1"
    found = verdict(good(rehearsal=Rehearsal("new", True, 50, 0.0, 1e-6, other_versions=told)), "bundle rehearsed")
    assert (found.outcome, found.found) == ("fail", told)


def part(change, rows=150, p_worse=1.0, judged=True):
    return SliceComparison("town", "Ayr", rows, Interval(change, change - 0.1, change + 0.1), p_worse, judged)


@pytest.mark.parametrize(
    ("slices", "wanted"),
    [
        ((part(0.3, p_worse=0.001),), "fail"),
        ((part(0.3, p_worse=0.026),), "inconclusive"),
        ((part(0.09), part(-0.3)), "pass"),
        ((part(0.3, rows=99, judged=False),), "pass"),
        ((part(0.3, rows=200, judged=False),), "inconclusive"),
        ((part(NAN),), "fail"),
        ((part(0.0, p_worse=NAN),), "fail"),
        ((), "pass"),
        (None, "fail"),
    ],
)
def test_no_slice_may_be_worse_beyond_the_margin(slices, wanted):
    comparisons = (compared("subscribers"), compared("growth", slices=slices))
    assert outcome(good(comparisons=comparisons), "no slice worse", "growth") == wanted


def test_the_slice_that_got_worse_is_named_with_its_rows():
    comparisons = (compared("subscribers"), compared("growth", slices=(part(0.3, p_worse=0.0), part(0.1))))
    assert verdict(good(comparisons=comparisons), "no slice worse", "growth").found == "town Ayr +30% on 150 rows"


def test_what_could_not_be_compared_by_slices_is_as_inconclusive_as_the_whole():
    unfair = not_compared("growth", "old", margin=0.02, confidence=0.95, reason="the champion saw every row")
    found = verdict(good(comparisons=(compared("subscribers"), unfair)), "no slice worse", "growth")
    assert (found.outcome, found.reason) == ("inconclusive", "the champion saw every row")


RANK = {"fail": 0, "inconclusive": 0, "pass": 1}
NUMBERS = st.sampled_from([NAN, float("-inf"), -0.5, -0.01, 0.0, 0.02, 0.3, 0.69, 0.9, float("inf")])
INTERVALS = st.tuples(NUMBERS, NUMBERS, NUMBERS)
CASES = st.builds(
    good,
    version=st.sampled_from(["new", "old"]),
    contracted=st.builds(
        contracted, rows_in=st.sampled_from([0, 10]), quarantined=st.integers(0, 10), passed=st.booleans()
    ),
    training_rows=st.sampled_from([0, 99, 100, 1000]),
    leaks=st.sampled_from([(), ("a leak",)]),
    evaluations=st.lists(
        st.builds(evaluation, st.sampled_from((*TARGETS, "stranger")), INTERVALS, INTERVALS), max_size=3
    ).map(tuple),
    incumbent=st.sampled_from([NONE_YET, Incumbent("old", TARGETS), Incumbent("old", ("growth",))]),
    comparisons=st.lists(st.builds(compared, st.sampled_from(TARGETS), INTERVALS), max_size=3).map(tuple),
    files=st.sampled_from([(), ("models/growth.skops",), tuple(f"models/{target}.skops" for target in TARGETS)]),
    rehearsal=st.builds(Rehearsal, st.sampled_from(["new", "old"]), st.booleans(), st.integers(0, 2), NUMBERS, NUMBERS),
    rollback=st.builds(Rehearsal, st.sampled_from(["", "old"]), st.booleans(), st.integers(0, 2), NUMBERS, NUMBERS),
    stopped=st.sampled_from(["", "alice stopped it"]),
    rolled_back=st.sampled_from(["", "alice rolled back from it"]),
    drift=st.builds(Drift, st.sampled_from([0, 2]), st.sampled_from([0, 99, 800]), st.just((Drifted("a", "b", 1.0),))),
)


@given(CASES, st.sets(st.sampled_from([each.name for each in fields(Case)]), min_size=1))
def test_leaving_evidence_out_never_turns_anything_into_a_pass(case, left_out):
    full = {(each.gate, each.target): each.outcome for each in judge(case, Gate(), Ring())}
    less = judge(replace(case, **dict.fromkeys(left_out)), Gate(), Ring())
    assert not promotable(less)
    for each in less:
        assert each.outcome != "pass" or full[each.gate, each.target] == "pass"


@given(CASES)
def test_what_is_promoted_passed_every_gate_of_the_bundle(case):
    verdicts = judge(case, Gate(), Ring())
    if promotable(verdicts):
        assert {each.outcome for each in verdicts if not each.target} == {"pass"}
        assert set(case.incumbent.serves) <= set(serves(verdicts, TARGETS))


def airings(count):
    raw = BROADCAST.generate(count, 7, None)
    at = pl.concat_str("airdate", pl.lit(" "), "slot_start").str.to_datetime(
        "%Y-%m-%d %H:%M", strict=False, time_zone="UTC"
    )
    label = {"rating": "rating_18_49", "audience": "viewers"}
    read = raw.with_columns(
        at.alias("airs_at"),
        *(pl.col(there).cast(pl.Float64, strict=False).alias(name) for name, there in label.items()),
    ).filter(pl.col("airs_at").is_not_null() & (pl.col("audience") > 0) & (pl.col("audience") < 1e8))
    noise = pl.Series(np.random.default_rng(3).lognormal(1.0, 0.5, read.height))
    return BROADCAST.derive(read.with_columns(engagement=noise).with_row_index("_row").lazy()).collect()


def test_a_target_that_is_noise_is_served_to_nobody_while_the_learned_one_is_and_the_verdicts_say_why():
    rows, candidate = airings(1500), next(c for c in BROADCAST.candidates if c.algorithm == "xgboost")
    judged = []
    for target in (each for each in BROADCAST.targets if each.name in ("audience", "engagement")):
        winner = Scorecard(target.name, candidate.algorithm, dict(candidate.params), "scored")
        found = evaluate(BROADCAST, rows, target, winner, refit_on_all=False)
        judged.append(found.judged.stored(BLOB, {}))
    case = good(
        targets=("audience", "engagement"),
        evaluations=tuple(judged),
        incumbent=NONE_YET,
        comparisons=(),
        measured_for=BROADCAST.gate,
    )
    verdicts = judge(case, BROADCAST.gate, Ring())
    told = {(each.gate, each.target): each.outcome for each in verdicts}
    assert (told["explains enough", "audience"], told["explains enough", "engagement"]) == ("pass", "fail")
    assert told["beats the baseline", "audience"] == "pass" != told["beats the baseline", "engagement"]
    assert serves(verdicts, case.targets) == ("audience",)
