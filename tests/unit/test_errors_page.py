"""The page of what predictions were worth: what it says first, where an estimate was wrong, that it fits a phone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.core.actuals import Actuals, Appraised
from tasks.core.appraisal import (
    Appraisal,
    Arrival,
    Beside,
    Degraded,
    Expected,
    Judgement,
    Realised,
    SliceError,
    degraded,
)
from tasks.core.page.actuals import lines, render, surprises
from tasks.core.values import Blob, Finding, Interval
from tests.browser import CHROMIUM, overhang
from tests.builders import shops_spec

HOSTILE = "<script>alert('owned')</script>"
SPEC = shops_spec()
GOOD = Realised(
    "sales", 300, 250, Interval(1400, 1200, 1600), Interval(0.6, 0.5, 0.7), Interval(0.9, 0.86, 0.93),
    Interval(1350, 1100, 1650), (SliceError("town", HOSTILE, 40, Interval(900, 700, 1100)),),
)  # fmt: skip
BAD = replace(GOOD, mae=Interval(2600, 2300, 2900))
RIVAL = Beside("sales", "2.0.0", 300, GOOD.mae, Interval(-0.1, -0.2, 0.02))
FINE, BELOW = (Judgement("sales", each, "an error of 2,600", "at most 1,688") for each in (False, True))


def day(number, realised=(GOOD,), expected=(), judgements=(FINE,)):
    batch = Arrival(f"b{number}", 300, 0), Arrival("actuals", 20, 1)
    return Appraisal(
        "shops", "prod", f"2026-11-{number:02}", "r", f"rows {number}", "1.0.0", 3, 300.0 + number, 300,
        batch if realised else (), realised, expected, (RIVAL,), ("2.0.0",), judgements,
    )  # fmt: skip


WAITING = day(20, (), (Expected("sales", 300, Interval(1350, 1100, 1650)),), ())
ARRIVED = Actuals("actuals", HOSTILE, 330, 320, 6, 4, True, Blob("a" * 64, 9), (Finding("odd", HOSTILE),))


def appraised(*known):
    told = degraded(known, 3)
    return Appraised("shops", "prod", 3, "1.0.0", ARRIVED, known, (), 5, 2, told)


CALM = appraised(*(day(number) for number in range(10, 19)), WAITING)
TROUBLE = appraised(day(10), *(day(number, (BAD,), (), (BELOW,)) for number in (11, 12)), WAITING)


def test_a_degraded_champion_is_said_first_with_its_figures_and_what_follows():
    assert TROUBLE.degraded == Degraded(
        TROUBLE.degraded.incident, "2026-11-11", "2026-11-12", "sales: an error of 2,600, wanted at most 1,688"
    )
    page = render(SPEC, TROUBLE)
    assert "larger than it was let out with" in page and "starts one retrain" in page
    assert page.index("2026-11-11 to 2026-11-12") < page.index("How large are the errors")
    assert "▲ 2.6" in page


def test_an_estimate_that_was_wrong_is_called_so():
    (first, _) = surprises(TROUBLE.known)
    assert first == (
        "2026-11-11, sales: estimated 1.35\xa0k, realised 2.6\xa0k: outside of the 1.1\xa0k to 1.65\xa0k that was "
        "stated"
    )
    assert surprises(CALM.known) == []


def test_every_row_of_a_batch_is_accounted_for_and_what_is_waited_for_is_said():
    said = "\n".join(lines(CALM))
    assert "rows in 330 = 320 that say something + 6 said again + 4 without entity or label" in said
    assert "180 labels new (180 of them late), 9 revised; 5 rows of nobody who was scored, 2 of somebody" in said
    assert "300 labels are waited for, over 10 scored days" in said
    assert (
        "2026-11-20, sales: error to be expected 1.35\xa0k [1.1\xa0k to 1.65\xa0k] on 300 rows without a label" in said
    )


def test_before_any_label_the_estimate_stands_alone_and_says_what_it_assumes():
    page = render(SPEC, appraised(WAITING))
    assert "not known yet" in page and "about 1.35" in page
    assert "a truth that follows from the same features in another way is not" in page


def test_the_page_loads_nothing_and_what_an_outsider_named_is_text():
    page = render(SPEC, CALM)
    assert "<script" not in page and "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "&lt;script&gt;" in page
    assert page == render(SPEC, CALM)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desk(tmp_path, width):
    assert overhang(render(SPEC, TROUBLE), tmp_path, width) == "wide 0"
