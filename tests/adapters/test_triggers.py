"""From what is seen of a champion to the rollback its ring's policy names: each trigger, by who really observes it."""

from __future__ import annotations

import pytest

from tasks.adapters import line, observations, policies
from tasks.adapters.rollback import roll_back_if_alarmed
from tasks.core import appraisal, scoring
from tasks.core.appraisal import Appraisal, Judgement
from tasks.core.scoring import Scored, Skew
from tasks.core.values import Blob
from tasks.core.watch import Observation as Batch
from tasks.monitor import looks
from tests.released import Released

BLOB = Blob("a" * 64, 9)
BAD_SKEW, NO_SKEW = Skew(200, 40, ("sales",)), Skew(200, 0, ())


def batch(day: int, *moved: str, severity: str = "critical") -> Batch:
    at = f"2026-11-{day:02}T10:00:00+00:00"
    return Batch(
        "shops", "prod", day, 2, "v", f"batch {day}", "rows.csv", at, 900, 900, severity, "", moved, (), BLOB, BLOB
    )  # type: ignore[arg-type]


def appraised(day: int, bad: bool):
    judged = (Judgement("sales", bad, "an error of 3", "at most 2"),)
    at = f"2026-11-{day:02}"
    return appraisal.observation(
        Appraisal("shops", "prod", at, "r", f"s{day}", "v", 2, 9.0, 200, (), (), (), (), (), judged)
    )


def scored(day: int, bad: bool):
    skew = BAD_SKEW if bad else NO_SKEW
    found, at = scoring.alarms(skew, {}), f"2026-11-{day:02}"
    made = Scored("shops", "prod", at, "r", "v", "m", 2, "s", ("sales",), 200, 200, 0, (), skew, found)
    return scoring.observation(made, policies.load("prod").scoring_error_share_most)


def monitored(day: int, bad: bool):
    (seen,) = looks(batch(day, *(["prediction of sales"] if bad else ["area"])))
    return seen


@pytest.mark.parametrize(
    ("seen", "breached", "found"),
    [
        (batch(1, "area", "prediction of sales"), True, "predictions of sales drifted"),
        (batch(1, "prediction of a", "prediction of b"), True, "predictions of a, b drifted"),
        (batch(1, "area"), False, "predictions as ever"),
        (batch(1, severity="none"), False, "predictions as ever"),
    ],
)
def test_a_batch_whose_predictions_drifted_is_seen_by_a_policy_that_rolls_back_on_it(seen, breached, found):
    (look,) = looks(seen)
    assert (look.trigger, look.champion, look.at) == ("prediction_drift_critical", 2, seen.at)
    assert (look.breached, look.found) == (breached, found)


def test_a_batch_too_small_to_tell_neither_counts_nor_breaks_a_row_of_bad_ones():
    assert looks(batch(1, severity="insufficient")) == []


@pytest.mark.parametrize(
    ("trigger", "look"),
    [
        ("performance_below_floor", appraised),
        ("prediction_drift_critical", monitored),
        ("scoring_errors", scored),
    ],
)
def test_a_trigger_of_the_policy_rolls_back_and_stops_the_line_once_it_lasts(tmp_path, trigger, look):
    (tmp_path / "prod.yaml").write_text(
        f"ring: prod\nautomatic: true\nautomatic_rollback: [{{trigger: {trigger}, persistence: 2}}]\n"
    )
    rules = [each.rule for each in policies.load("prod", tmp_path).automatic_rollback]
    shop = Released(tmp_path / "home")
    old, new = shop.promote("old"), shop.promote("new")

    def seen(day: int, bad: bool):
        observations.record(shop.store, "shops", "prod", look(day, bad))
        known = observations.of_champion(shop.store, "shops", "prod", 2, rules)
        return roll_back_if_alarmed(shop.store, shop.signer, shop.trust, None, "shops", "prod", known, rules)

    assert [seen(1, True), seen(2, False), seen(3, True)] == [None] * 3
    assert (shop.seen(), line.running(shop.store, shop.trust, "shops")) == (new, None)
    alarm, done = seen(4, True)
    assert (shop.seen(), done.entry.version) == (old, old)
    assert done.entry.decided_by == f"automatic rollback: {trigger} in prod"
    stopped = line.running(shop.store, shop.trust, "shops")
    assert stopped.reason == alarm.reason and f"{trigger.replace('_', ' ')}, 2 times in a row: found" in stopped.reason
