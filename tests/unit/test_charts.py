from __future__ import annotations

import json
import math
import re
from importlib.resources import files
from xml.etree import ElementTree

import pytest

from tasks.core import charts, drawing
from tasks.core.charts import Cloud, Row
from tasks.core.drawing import Axis, linear_axis, log_axis, percent, ratio_axis, short
from tasks.core.world_map import world_map


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0, "", "0"),
        (0.1234, "", "0.123"),
        (12.345, "", "12.3"),
        (999, "", "999"),
        (999.9, "", "1 k"),
        (1_234, "", "1.23 k"),
        (-7_580_842, "subscribers", "−7.58 M subscribers"),
        (163_400_000, "US$", "US$ 163 M"),
        (2.5e9, "", "2.5 bn"),
        (None, "", "–"),
        (math.nan, "", "–"),
        (math.inf, "views", "–"),
    ],
)
def test_numbers_are_written_with_three_figures(number, unit, text):
    assert short(number, unit).replace("\u00a0", " ") == text


@pytest.mark.parametrize(("share", "text"), [(0.456, "46 %"), (-0.05, "−5 %"), (-0.001, "0 %"), (None, "–")])
def test_shares_are_written_as_per_cent_and_never_as_minus_zero(share, text):
    assert percent(share).replace("\u00a0", " ") == text


def test_a_linear_axis_has_round_ticks_around_its_values():
    axis = linear_axis([-0.07, 0.53], include=(0.0,), as_percent=True)
    assert [tick for tick, _ in axis.ticks] == [-0.2, 0.0, 0.2, 0.4, 0.6]
    assert axis.at(0.2) == 50.0


def test_a_log_axis_has_powers_of_ten_and_places_them_evenly():
    axis = log_axis([1.0, 10_000.0])
    assert [tick for tick, _ in axis.ticks] == [1.0, 10.0, 100.0, 1000.0, 10_000.0]
    assert axis.at(100.0) == 50.0


def test_a_narrow_log_axis_still_has_two_ticks():
    assert len(log_axis([12e6, 240e6]).ticks) >= 2


def test_a_ratio_axis_is_even_around_equal():
    assert [label for _, label in ratio_axis([-1.7, 0.2]).ticks] == ["÷4", "÷2", "equal", "×2", "×4"]
    assert ratio_axis([9.0]).high == 4


@pytest.mark.parametrize("make", [linear_axis, log_axis, ratio_axis])
@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0]])
def test_an_axis_without_spread_is_still_an_axis(make, values):
    axis = make(values)
    assert axis.low < axis.high
    assert 0 <= axis.at(5.0) <= 100


def test_a_value_beyond_the_axis_stays_on_its_edge():
    axis = Axis(0, 10, ())
    assert (axis.at(-5), axis.at(99)) == (0, 100)


def test_what_is_off_the_axis_has_an_arrow_where_its_mark_would_lie_and_says_so_in_words():
    axis = linear_axis([-1.0, 0.5], as_percent=True)
    rows = [
        Row("awful", -2.5, "−250 %", -3.0, 0.7, mark="diamond"),
        Row("unsure", 0.1, "10 %", -1.4, 0.3, mark="square"),
        Row("at the end", -1.0, "−100 %", mark="ring"),
    ]
    chart = charts.row_chart(rows, axis, title="t", description="d")
    ElementTree.fromstring(chart)
    awful, unsure, at_the_end = chart.split('class="row"')[1:]
    assert 'href="#m-left" class="tone-1" x="0%"' in awful and 'href="#m-right" class="tone-1" x="100%"' in awful
    assert "#m-diamond" not in awful and ">← −250 %<" in awful
    assert 'title="awful: −250 %, beyond the left end of the axis"' in awful
    assert "#m-left" in unsure and "#m-square" in unsure and ">10 %<" in unsure
    assert "#m-left" not in at_the_end and "#m-ring" in at_the_end


def drawn() -> dict[str, str]:
    axis = linear_axis([0, 1])
    rows = [Row("a <b> & c", 0.5, "half", 0.2, 0.8, 0.1, 0.9, heading="what"), Row("bar", 0.7, "", mark="bar")]
    clouds = [Cloud("one", [(0.1, 0.2)]), Cloud("<two>", [(0.3, 0.4)], "square", "tone-2")]
    shares = {"US": (0.3, "United States: 30 %"), "SG": (0.0005, "Singapore <3"), "XX": (0.1, "nowhere")}
    return {
        "rows": charts.row_chart(rows, axis, title="t", description="d", zero=0.0),
        "scatter": charts.scatter(
            clouds, axis, axis, x_label="x", y_label="y", title="t", description="d", names=[(0.5, 0.5, "<n>")]
        ),
        "split": charts.split_bar([("in", 9, "tone-good"), ("out", 1, "tone-bad")], title="t", description="d"),
        "map": world_map(shares, title="t", description="d"),
        "shapes": drawing.shape_definitions(),
    }


@pytest.mark.parametrize("name", ["rows", "scatter", "split", "map", "shapes"])
def test_every_chart_is_well_formed_and_the_same_each_time(name):
    ElementTree.fromstring(drawn()[name])
    assert drawn()[name] == drawn()[name]


@pytest.mark.parametrize(("reach", "labels"), [((0, 1), 6), ((-1, 0.25), 3)])
def test_labels_too_long_to_stand_side_by_side_are_halved_and_zero_stays(reach, labels):
    axis = linear_axis(reach, as_percent=True)
    drawn = charts.row_chart([Row("one", 0.1, "")], axis, title="t", description="d", zero=0.0)
    told = re.findall(r'class="(?:major|minor)">([^<]+)<', drawn)
    assert len(told) == labels and percent(0) in told


def test_labels_are_text_and_never_markup():
    assert "a &lt;b&gt; &amp; c" in drawn()["rows"]
    assert "<two>" not in drawn()["scatter"]
    assert "<n>" not in drawn()["scatter"]


def test_every_picture_says_what_it_is_to_those_who_cannot_see_it():
    for name in ("scatter", "split", "map"):
        assert re.search(r'role="img" aria-label="d"', drawn()[name])


def test_the_map_colours_a_country_and_dots_one_too_small_to_see():
    world = drawn()["map"]
    assert re.search(r'class="land-5" d="[^"]+"><title>United States: 30 %', world)
    assert re.search(r'class="place land-1"[^>]*><title>Singapore &lt;3', world)
    assert "nowhere" not in world
    assert world.count("no rows") > 150


def test_an_empty_map_is_still_a_map():
    assert "land-0" in world_map({}, title="t", description="d")


def test_the_world_is_small_whole_and_says_where_it_is_from():
    text = files("tasks.core").joinpath("world.json").read_text("utf-8")
    world = json.loads(text)
    codes = [each["code"] for each in world["countries"] + world["places"] if each["code"]]
    assert len(text.encode()) < 110_000
    assert "Natural Earth" in world["source"]
    assert "public domain" in world["source"]
    assert len(codes) == len(set(codes)) == 235
    assert all(re.fullmatch(r"[A-Z]{2}", code) for code in codes)


def test_no_country_is_drawn_across_the_whole_map():
    """A shape that crosses the antimeridian must be cut there, or it becomes a stripe around the world."""
    world = json.loads(files("tasks.core").joinpath("world.json").read_text("utf-8"))
    assert world["width"] == 10_000
    for each in world["countries"]:
        moves = re.findall(r"l([^z]*)z", each["path"])
        widest = max(abs(int(x)) for move in moves for x, _ in re.findall(r"(-?\d+) ?(-?\d+)", move))
        assert widest < 2_000, each["name"]
