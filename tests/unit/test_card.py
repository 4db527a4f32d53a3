"""The model card says in words what the evidence says in numbers, and nothing it does not."""

from dataclasses import replace

import pytest

from tasks.core.card import write_card
from tasks.core.evidence import Evidence, Portrait
from tasks.core.page.targets import _against_last_value
from tasks.core.values import (
    BaselineScore,
    Blob,
    Contracted,
    Evaluation,
    Finding,
    Interval,
    Recalibration,
    Scorecard,
    SliceScore,
    Snapshot,
    Table,
    TrainingSet,
)
from tasks.workloads.spec import Gate, Target
from tests.builders import shops_spec

BLOB = Blob("b" * 64, 10)
SPEC = shops_spec()


def evaluation(**changes):
    judged = Evaluation(
        target="sales",
        algorithm="xgboost",
        model="models/sales",
        describes="shipped",
        rows_trained=180,
        rows_holdout=60,
        mae=Interval(1234.5, 1000.0, 1500.0),
        rmse=2000.0,
        r2=Interval(0.8126, 0.7, 0.9),
        log_r2=0.8,
        spearman=0.9,
        skill=Interval(0.456, 0.4, 0.5),
        baseline="median of the town",
        baselines=(),
        slices=(),
        coverage_wanted=0.9,
        coverage=Interval(0.883, 0.81, 0.94),
        importances={},
        predictions=BLOB,
    )
    return replace(judged, **changes)


def evidence(*evaluations, findings=()):
    return Evidence(
        workload="shops",
        run_key="key1",
        policy="p",
        measured_for=Gate(),
        code="c",
        snapshot=Snapshot("shops", BLOB, 240, "5" * 64, {}, findings),
        contracted=Contracted("b" * 64, BLOB, BLOB, 240, 231, 9, ()),
        training_set=TrainingSet("shops", BLOB, 231, "b" * 64, "d", 231),
        leaks=(),
        scorecards=(),
        evaluations=evaluations or (evaluation(),),
        portrait=Portrait(None, None, {}, BLOB),
    )


def limits(spec, found):
    return write_card(spec, found).partition("## Limits")[2]


def test_the_card_says_what_is_predicted_of_what_and_what_must_be_known():
    card = write_card(SPEC, evidence())
    assert card.startswith("# Shops: model card\n\n## Intended use\n\nPredicts, for one shop: sales (US$).\n")
    assert "Scoreable from area, town alone; every other input may be missing." in card
    assert "Scoreable from" not in write_card(replace(SPEC, always_known=()), evidence())


def test_every_row_is_accounted_for_and_findings_are_repeated():
    card = write_card(SPEC, evidence(findings=(Finding("undated", "240 rows say not when they were seen", 240),)))
    assert "240 rows in: 231 accepted, 9 quarantined." in card
    assert f"Source sha256 `{'5' * 64}`, snapshot `{'b' * 64}`." in card
    assert "- 240 rows say not when they were seen\n" in card


def test_every_number_has_its_interval_and_its_unit():
    lines = write_card(SPEC, evidence()).splitlines()
    assert "### sales: xgboost" in lines
    assert f"| | value | {Gate().confidence:.0%} interval |" in lines
    assert "| MAE (US$) | 1,234 | 1,000 to 1,500 |" in lines
    assert "| R² | 0.813 | 0.700 to 0.900 |" in lines
    assert "| skill | +0.456 | +0.400 to +0.500 |" in lines
    assert "| coverage of 90% prediction intervals | 88.3% | 81.0% to 94.0% |" in lines
    assert "Skill is 1 − MAE / MAE of the best naive baseline, here the median of the town." in lines


def test_what_a_learner_says_of_itself_is_a_table():
    told = Table("Niches", ("niche", "verdict"), (("pop|rock", "kept"),))
    card = write_card(SPEC, evidence(evaluation(told=(told,))))
    assert "\nNiches:\n\n| niche | verdict |\n| --- | --- |\n| pop/rock | kept |\n" in card


@pytest.mark.parametrize(
    ("describes", "said"),
    [
        ("shipped", "The numbers describe the model in this bundle. 180 rows trained, 60 held out"),
        ("training part", "was fitted again on all rows; the numbers describe the one before. 180 rows trained, 60"),
    ],
)
def test_the_card_says_which_fit_the_numbers_describe(describes, said):
    assert said in write_card(SPEC, evidence(evaluation(describes=describes)))


def test_the_card_says_how_many_labels_were_known_too_late_to_be_learned_from():
    said = "never looked at before, 12 left out whose label was not known by then."
    assert said in write_card(SPEC, evidence(evaluation(rows_late=12)))
    assert "left out" not in write_card(SPEC, evidence(evaluation()))


@pytest.mark.parametrize(("low", "said"), [(-0.1, True), (0.0, True), (0.01, False)])
def test_a_model_not_shown_to_beat_the_baseline_is_said_not_to_be_served(low, said):
    found = limits(SPEC, evidence(evaluation(skill=Interval(0.1, low, 0.2))))
    sentence = "- sales: not shown to be better than the naive baseline (median of the town): not served."
    assert (sentence in found) is said


def test_the_worst_slice_is_named_where_the_baseline_is_better_there():
    slices = tuple(
        SliceScore("town", label, 20, 1.0, Interval(skill, skill - 0.1, skill + 0.1))
        for label, skill in (("Ayr", 0.3), ("Bath", -0.2), ("Cork", -0.1))
    )
    assert "- sales: worse than the baseline where town is Bath (20 rows)." in limits(
        SPEC, evidence(evaluation(slices=slices))
    )
    assert "worse than the baseline" not in limits(SPEC, evidence(evaluation(slices=slices[:1])))


def test_what_a_model_may_not_see_is_said():
    blind = replace(SPEC, targets=(Target("sales", "sales", "sales", "US$", blind_to=("visitors",)),))
    assert "- sales: never sees visitors, which contain it." in limits(blind, evidence())
    assert "never sees" not in limits(SPEC, evidence())


def test_the_same_evidence_gives_the_same_card():
    assert write_card(SPEC, evidence()) == write_card(SPEC, evidence())
    assert write_card(SPEC, evidence()).endswith("the reference profile says which those are.\n")


def test_a_target_with_a_value_before_is_told_beside_it_and_the_r2_of_its_whole_is_called_so():
    (target,) = SPEC.targets
    spec = replace(SPEC, targets=(replace(target, previous="visitors", as_change=True),))
    found = evaluation(baselines=(BaselineScore("previous", 2469.0, 4000.0, 0.1),))
    lines = write_card(spec, evidence(found)).splitlines()
    assert "| MASE: error as a share of the last value's | 0.500 | |" in lines
    assert "| R² of the whole, change or not | 0.813 | 0.700 to 0.900 |" in lines
    assert (found.mase, found.r2_beyond_last_value) == (0.5, 0.75)
    card = Scorecard("sales", "xgboost", {}, "scored", skill=0.4, mae_scaled=0.021, mase_scaled=0.6)
    assert dict(_against_last_value(found, [replace(card, skill=0.1, mae_scaled=9.0), card])) == {
        "R² beyond the last value": "0.75",
        "MASE": "0.50 of the last value's error",
        "scaled, in cross-validation": "0.021 standard deviations, 0.60 of the last value's",
    }
    assert not dict(_against_last_value(evaluation(), [replace(card, mae_scaled=None)]))


def test_a_chance_says_how_its_odds_and_its_slope_were_off():
    known = Recalibration(0.4, 0.45, 60, Interval(1.24, 1.05, 1.47), Interval(1.09, 0.84, 1.34))
    lines = write_card(SPEC, evidence(evaluation(recalibration=known))).splitlines()
    assert "| odds that came over odds that were said | 1.24 | 1.05 to 1.47 |" in lines
    assert "| slope of what came over what was said | 1.09 | 0.84 to 1.34 |" in lines
