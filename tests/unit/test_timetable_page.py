"""The page of a timetable: what it says first, that no number stands alone, and that it fits a phone."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html import unescape

import pytest

from tasks.core.page.timetable import page
from tasks.core.page.week import weeks
from tasks.core.timetable.solve import timetable
from tests.browser import CHROMIUM, overhang
from tests.timetable_plans import evening, plan_of, week
from tests.timetable_worlds import with_an_impossible_slot, world

HOSTILE = "<script>alert('owned')</script>"
ABOUT = {"champion": "broadcast 2.1.0", "predicted": "2026-11-21T10:00:00+00:00"}


@cache
def whole() -> str:
    return page(week(), ABOUT)


def text(html: str) -> str:
    """Return what a reader sees, in one line."""
    body = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).replace("\u00a0", " ")
    return re.sub(r"\s+", " ", unescape(body))


def test_the_honest_number_stands_first_and_beside_the_optimisers_own():
    seen = text(whole())
    honest, own = seen.index("by a model that did not choose it"), seen.index("The optimiser's own number is")
    assert honest < own < seen.index("What is it worth?")
    assert "6.4 % more: an optimiser picks what its model overrates" in seen
    assert re.search(r"Against what airs now: \+US\$ [\d.]+ k by that model, \+US\$ [\d.]+ k by the optimiser's", seen)
    assert "None" not in seen and "nan" not in seen


def test_without_a_second_opinion_the_page_says_that_the_number_is_the_upper_end():
    seen = text(page(evening(), ABOUT))
    assert "Take them as the upper end." in seen and "by a model that did not choose it" not in seen


def test_the_gap_is_a_sentence_a_stranger_understands():
    found = timetable(world(10, 3), "exact")
    plan = plan_of(world(10, 3), None)
    near = page(replace(plan, timetable=replace(found, gap=0.0042)), ABOUT)
    assert "All 10 slots are filled, and at most 0.42 % is left to gain." in text(near)
    assert "none scores more than 0.42 % better" in text(near)
    assert "no timetable that keeps the rules scores higher" in text(page(plan, ABOUT))
    worse = replace(plan, timetable=replace(found, gap=2.1))
    assert "All 10 slots are filled; more may be possible." in text(page(worse, ABOUT))


def test_every_slot_is_in_the_grid_where_its_time_is_and_says_its_genre_in_words():
    grid = weeks(evening())[0]
    assert [day.name for day in grid.days] == ["Mon 23 Nov", "Tue 24 Nov"]
    first, second = grid.days[0].blocks
    assert (first.at, first.long, first.title, first.genre) == (0, 50, "A", "news")
    assert (second.at, second.note, second.state) == (50, "10 min idle", "")
    assert (first.state, grid.days[1].blocks[0].state) == ("changed", "changed")
    assert whole().count('<li class="slot') == 20


def test_what_changes_says_why_and_what_the_current_one_breaks():
    plan = evening()
    late = replace(plan, current=("B", "B", "X"))
    seen = text(page(late, ABOUT))
    assert "What airs now breaks 1 rule: 'B' is shown 2 times, at most 1." in seen
    assert "'X' is not among the programmes on offer" in seen
    assert "1 of its slots show what nothing was predicted for" in seen


def test_an_empty_slot_says_what_keeps_everything_out_of_it():
    plan = plan_of(with_an_impossible_slot(world(10, 3)), None, partial=True)
    seen = text(page(plan, ABOUT))
    assert "9 of 10 slots are filled" in seen
    assert "Slot '000-3': programmes kept out" in seen and "lengthen the slot" in seen


def test_a_week_nothing_fits_into_has_a_page_too():
    problem = world(10, 3)
    short = replace(problem, slots=tuple(replace(each, minutes=1) for each in problem.slots))
    seen = text(page(plan_of(short, None, partial=True), ABOUT))
    assert "0 of 10 slots are filled" in seen and seen.count("✕") == 0 and seen.count("nothing fits") == 10


def test_a_night_beyond_midnight_stays_in_its_evening():
    plan = evening()
    late = replace(plan.problem.slots[1], start=plan.problem.slots[1].start.replace(day=24, hour=0))
    slots = (plan.problem.slots[0], late, plan.problem.slots[2])
    moved = replace(plan, problem=replace(plan.problem, slots=slots))
    assert [at for at, _ in weeks(moved)[0].hours] == [0, 20, 40, 60, 80]
    assert weeks(moved)[0].days[0].blocks[1].at == 80


def test_a_goal_nothing_predicts_is_named_once_and_drawn_nowhere():
    plan = evening()
    none = 0 * plan.problem.audience
    silent = replace(plan, predicted=replace(plan.predicted, audience=none))
    html = page(replace(silent, timetable=replace(plan.timetable, front=(("A", "B", "A"), ("C", "B", "A")))), ABOUT)
    seen = text(html)
    assert "Nothing predicts the audience here" in seen
    assert "Predicted audience" not in seen and "figures: revenue What" not in seen
    assert "↑ balance of genres" in seen and 'data-label="audience"' not in html


def test_two_models_far_apart_are_not_believed_to_the_digit():
    plan = week()
    assert plan.honest is not None
    far = replace(plan.honest, revenue=replace(plan.honest.revenue, held_out=1.4 * plan.honest.revenue.own))
    seen = text(page(replace(plan, honest=far), ABOUT))
    assert "28.6 % less: no sign that it was fooled by its own errors, but two models this far apart" in seen


def test_the_page_loads_nothing_and_what_an_outsider_named_is_text():
    plan = evening()
    shows = tuple(replace(each, genre=HOSTILE) for each in plan.problem.programmes)
    found = page(replace(plan, problem=replace(plan.problem, programmes=shows)), {"source": HOSTILE})
    assert not re.search(r"https?://|url\(|@import|<(script|link|img|iframe|object)", found)
    assert "&lt;script&gt;alert(" in found


@pytest.mark.skipif(CHROMIUM is None, reason="no browser on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_screen(tmp_path, width):
    assert overhang(whole(), tmp_path, width) == "wide 0"
