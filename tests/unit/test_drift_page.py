"""The page of a batch: what it says first, what never gets in, and that it fits a phone."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core.drift import compare
from tasks.core.drift_odds import RULE, Calibration, Odds
from tasks.core.page.drift import render
from tasks.core.page.drift_sheet import DriftSheet
from tasks.core.values import Blob, Finding, Interval
from tasks.core.watch import Observation
from tests.browser import CHROMIUM, overhang
from tests.drift_worlds import batch, reference, rows

HOSTILE = "<script>alert('owned')</script>"
CHANCE = np.random.default_rng(9)
BESIDE = reference(rows(3000, CHANCE))
COUNTS = batch(
    rows(2000, CHANCE).with_columns(pl.col("tail") * 2, kind4=pl.lit(HOSTILE), plain=pl.lit(None, pl.Float64)), BESIDE
)
REPORT = compare(BESIDE, COUNTS, {"tail": 0.5, "kind4": 0.3, "far": 0.2})
SEEN = Observation(
    "shops", "prod", 7, 3, "v-old", "b" * 64, "rows.csv", "2026-11-21T10:00:00+00:00", 2100, 2000, REPORT.severity,
    REPORT.because, (), (Finding("odd", HOSTILE),), Blob("a" * 64, 9), told="workload.drifted", incident="feed",
)  # fmt: skip
ODDS = Calibration("shops", "prod", "v-old", "p", RULE, Odds(200, 1500, 0, Interval(0, 0, 0.019)), 6, 2, 1)


def sheet(seen=SEEN, report=REPORT, counts=COUNTS, calibration=ODDS):
    before = tuple(replace(seen, number=number, severity="none", told="") for number in (5, 6))
    return DriftSheet("Shops", seen, (*before, seen), report, BESIDE, counts, calibration)


def test_the_heaviest_column_comes_first_and_the_alarm_says_what_follows():
    page = render(sheet())
    chart = page[page.index("What moved, the heaviest") :]
    labels = re.findall(r'<span class="label">([^<]+)</span>', chart)
    assert labels.index("kind4") < labels.index("tail") < labels.index("far")
    assert "incident feed" in page and "starts one retrain" in page
    assert "On pure noise this rule would fire 0.0 % of batches (95% interval 0.0 % to 1.9 %" in page


def test_the_page_loads_nothing_and_what_an_outsider_named_is_text():
    page = render(sheet())
    assert not re.search(r"https?://|url\(|@import|<(script|link|img|iframe|object)", page)
    assert "&lt;script&gt;alert(" in page


def test_a_batch_that_could_not_be_read_has_a_page_too():
    unread = replace(SEEN, severity="insufficient", told="", incident="")
    page = render(sheet(unread, None, None, None))
    assert "Too few rows to tell" in page and "greenlight monitor calibrate shops --ring prod" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_screen(tmp_path, width):
    assert overhang(render(sheet()), tmp_path, width) == "wide 0"
