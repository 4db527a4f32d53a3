from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.archetypes import find_archetypes
from tasks.core.influence import measure_influence
from tasks.core.page.report import answer, render
from tasks.core.page.run_report import RunReport
from tasks.core.page.targets import verse
from tasks.core.run import StageTime
from tasks.core.values import (
    BaselineScore,
    Blob,
    Challenger,
    Contracted,
    Entry,
    Evaluation,
    Finding,
    Interval,
    Reliability,
    RuleResult,
    Scorecard,
    SliceScore,
    Snapshot,
    Table,
    TrainingSet,
    Verdict,
)
from tasks.workloads.channels import CHANNELS
from tests.browser import CHROMIUM, overhang

HOSTILE = "<script>alert('owned')</script>"
SECTIONS = ("short", "models", "gates", "data", "archetypes", "influence", "lineage", "cost", "glossary")
COUNTRIES = {"United States": "US", "India": "IN", "Brazil": "BR", "Singapore": "SG", HOSTILE: "XX"}
GOOD = Interval(0.46, 0.38, 0.53)


def channel_rows(n: int = 240, seed: int = 5) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    kind = draw.integers(0, 3, n)
    numbers = {
        "uploads_total": np.exp(np.array([4.0, 7.0, 9.5])[kind] + draw.normal(0, 0.4, n)),
        "subscribers": np.exp(16.5 + draw.normal(0, 0.5, n)),
        "subscribers_30d": np.exp(np.array([13.0, 11.0, 10.0])[kind] + draw.normal(0, 0.4, n)),
        "highest_yearly_earnings": np.exp(np.array([16.0, 14.0, 12.0])[kind] + draw.normal(0, 0.5, n)),
        "views_per_upload": np.exp(np.array([17.0, 15.0, 12.0])[kind] + draw.normal(0, 0.4, n)),
        "video_views": np.exp(22 + draw.normal(0, 1, n)),
    }
    country = draw.choice(list(COUNTRIES), n, p=[0.4, 0.3, 0.15, 0.05, 0.1])
    return pl.DataFrame(numbers).with_columns(
        _row=pl.int_range(2, n + 2),
        channel=pl.Series([f"channel {i}" for i in range(n - 1)] + [HOSTILE]),
        category=pl.Series(draw.choice(["Music", "Comedy", "Education"], n)),
        country=pl.Series(country),
        abbreviation=pl.Series([COUNTRIES[name] for name in country]),
    )


def predictions(n: int = 120, seed: int = 6) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    actual = np.exp(draw.normal(16, 0.8, n))
    predicted = actual * np.exp(draw.normal(0, 0.5, n))
    return pl.DataFrame(
        {
            "row": np.arange(n),
            "actual": actual,
            "predicted": predicted,
            "low": predicted / 2,
            "high": predicted * 2,
            "baseline": np.full(n, np.median(actual)),
            "category": draw.choice(["Music", "Comedy"], n),
            "country": draw.choice(["India", HOSTILE], n),
            "size": draw.choice(["under 15 M", "15–25 M"], n),
        }
    )


def evaluation(target: str = "growth", skill: Interval = GOOD) -> Evaluation:
    return Evaluation(
        target=target,
        algorithm="catboost",
        model=f"models/{target}",
        describes="training part",
        rows_trained=796,
        rows_holdout=199,
        units=199,
        mae=Interval(123_456.0, 110_000.0, 140_000.0),
        rmse=345_678.0,
        r2=Interval(0.35, 0.1, 0.5),
        log_r2=0.81,
        spearman=0.83,
        skill=skill,
        baseline="group_median",
        baselines=(
            BaselineScore("group_median", 228_622.0, 400_000.0, 0.01),
            BaselineScore("mean", 260_000.0, 390_000.0, -0.01),
        ),
        slices=(
            SliceScore("category", "Music", 60, 100_000.0, Interval(0.5, 0.3, 0.6)),
            SliceScore("country", HOSTILE, 20, 200_000.0, Interval(-0.3, -0.6, -0.1)),
        ),
        coverage_wanted=0.9,
        coverage=Interval(0.87, 0.82, 0.92),
        importances={"views_last_30d": 3.0, "uploads_total": 1.0, "country": 0.0},
        predictions=Blob("a" * 64, 1),
        told=(
            Table("Niches against the common model", ("niche", "verdict"), ((HOSTILE, "kept"), ("Film", "dropped"))),
        ),
    )


def contracted() -> Contracted:
    return Contracted(
        snapshot="5" * 64,
        accepted=Blob("b" * 64, 1),
        quarantined=Blob("c" * 64, 1),
        rows_in=995,
        rows_accepted=959,
        rows_quarantined=36,
        results=(
            RuleResult("uploads_present", "row", "critical", "an input every user has", True),
            RuleResult(
                "video_views_positive", "row", "critical", "a channel without views is no creator", False, 8, "8 zeros"
            ),
            RuleResult("fresh", "table", "warning", "the newest row is old", False, 0, "412 days"),
        ),
    )


def scorecards(target: str) -> tuple[Scorecard, ...]:
    figures = {"mae": 120_000.0, "fold_mae": (110_000.0, 130_000.0)}
    return (
        Scorecard(target, "catboost", {}, "scored", skill=0.44, **figures),
        Scorecard(target, "elastic_net", {}, "scored", skill=0.21, **figures),
        Scorecard(target, "mlp", {}, "failed", reason=f"loss was not finite {HOSTILE}"),
    )


def report() -> RunReport:
    rows = channel_rows()
    amounts = ("video_views", "subscribers", "highest_yearly_earnings")
    found = find_archetypes(rows, CHANNELS.archetypes, 7)
    quarantine = rows.tail(2).with_columns(
        _rules=pl.lit("video_views_positive"), _unparsed=pl.lit("uploads=many"), video_views=pl.lit(0)
    )
    return RunReport(
        spec=CHANNELS,
        outcome="promoted",
        because="Every gate passed for growth; subscribers stay out.",
        version="channels-0123abcd",
        ring="dev",
        snapshot=Snapshot(
            "channels", Blob("5" * 64, 9), 995, "6" * 64, {},
            (
                Finding("encoding", "1,212 letters were lost before this file was written", 1212),
                Finding("columns_unknown", f"columns not declared, not kept: {HOSTILE}", 1),
            ),
        ),
        contracted=contracted(),
        training_set=TrainingSet("channels", Blob("7" * 64, 9), 959, "5" * 64, "8" * 64, 959),
        scorecards=(*scorecards("growth"), *scorecards("subscribers")),
        evaluations=(evaluation(), evaluation("subscribers", Interval(0.02, -0.05, 0.09))),
        predictions={"growth": predictions(), "subscribers": predictions(seed=8)},
        verdicts=(
            Verdict("min_skill", "pass", "38 %", "more than 0 %", "the interval is above the gate", "growth"),
            Verdict("min_skill", "fail", "−5 %", "more than 0 %", "the interval reaches below the gate", "subscribers"),
        ),
        serves=("growth",),
        champion_after="channels-0123abcd",
        challenger=Challenger("channels", "channels-0123abcd", "9" * 64, ("growth",), "3", "run-17"),
        entry=Entry(
            "channels", 1, "promotion", "dev", "channels-0123abcd", "9" * 64, ("growth",), "d" * 64, "dev-automatic",
            "policy dev-automatic", "all gates passed", "2026-11-21T00:00:00Z", "",
        ),
        archetypes=found.summary,
        assignments=found.assignments,
        influence=(
            measure_influence(rows, "country", amounts, entity="channel", code="abbreviation"),
            measure_influence(rows, "category", amounts, entity="channel"),
        ),
        quarantine=quarantine,
        lineage=(("source", "6" * 64), ("snapshot", "5" * 64), ("bundle", "9" * 64)),
        times=(StageTime("ingest", 0.41, 0.38, 995), StageTime("train", 12.0, 21.5, 796, reused=True)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return render(report())


class Tags(HTMLParser):
    """Collects what a page would load, its ids, its text, and tags left open."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_loads_nothing_from_anywhere(page):
    tags = Tags(page)
    assert not [tag for tag, _ in tags.seen if tag in {"script", "link", "img", "iframe", "object"}]
    loads = [
        a.get(name) for _, a in tags.seen for name in ("src", "href", "xlink:href", "srcset", "action") if a.get(name)
    ]
    assert all(value.startswith("#") for value in loads)
    assert "@import" not in page
    assert not re.search(r"url\(", page)


def test_every_tag_is_closed_and_no_id_is_used_twice(page):
    tags = Tags(page)
    assert tags.open == []
    ids = [a["id"] for _, a in tags.seen if "id" in a]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for _, a in tags.seen if a.get("href", "").startswith("#")}
    assert used <= set(ids)


def test_every_section_is_there(page):
    ids = {a.get("id") for _, a in Tags(page).seen}
    assert set(SECTIONS) <= ids


def test_what_an_outsider_wrote_is_text_and_never_markup(page):
    assert "<script" not in page.lower()
    assert "&lt;script&gt;alert(" in page
    assert Tags(page).text.count(HOSTILE) >= 5


def test_the_figures_that_went_in_can_be_read(page):
    text = Tags(page).text
    for words in (
        "995 rows in = 959 accepted + 36 quarantined",
        "46 % (38 to 53 %)",
        "123 k subscribers",
        "0.35 (95 % interval 0.10 to 0.50)",
        "87 % of 90 % wanted",
        "8 zeros",
        "412 days",
        "1,212 letters were lost",
        "mlp failed: loss was not finite",
        "entry 1, promotion by policy dev-automatic",
        "9" * 64,
        "12 s, 22 s CPU",
        "uploads=many",
        "adjusted Rand index",
        "Niches against the common model",
        "dropped",
    ):
        assert words in text, words


def test_a_target_not_shown_better_than_guessing_says_so(page):
    text = Tags(page).text
    assert (
        "Not shown better than the best naive guess (group median): the 95 % interval −5 to 9 % includes zero." in text
    )


@pytest.mark.parametrize(
    ("skill", "wanted", "tone", "words"),
    [
        (Interval(0.46, 0.38, 0.53), 0.0, "good", "Mean error 46 % smaller"),
        (Interval(0.10, 0.02, 0.20), 0.05, "unsure", "gate asks for more than 5 %"),
        (Interval(0.02, -0.05, 0.09), 0.0, "unsure", "includes zero"),
        (Interval(0.02, 0.0, 0.09), 0.0, "unsure", "includes zero"),
        (Interval(-0.2, -0.4, -0.1), 0.0, "bad", "Errors are larger"),
    ],
)
def test_only_an_interval_above_zero_is_called_better(skill, wanted, tone, words):
    said = verse(evaluation(skill=skill), wanted, 0.95)
    assert said.tone == tone
    assert words in said.sentence.replace("\u00a0", " ")


def test_the_page_says_which_model_its_numbers_describe(page):
    assert "These numbers describe the model fitted on the training part (796 rows)" in page
    shipped = replace(report(), evaluations=(replace(evaluation(), describes="shipped"),))
    assert "These numbers describe the shipped model itself" in render(shipped)
    late = replace(report(), evaluations=(replace(evaluation(), rows_late=1_012),))
    assert "1,012 rows were left out, whose label was not known" in render(late) and "rows were left out" not in page


def test_the_worst_slice_and_the_failed_rule_come_first(page):
    slices = page[page.index("slices of the holdout") :]
    assert slices.index("worse than guessing") < slices.index("better than guessing")
    assert page.index("video views positive") < page.index("uploads present")
    assert page.index("✗ fail · min skill") < page.index("✓ pass · min skill")


def test_a_quarantined_row_shows_the_rules_it_broke_and_the_cells_they_speak_of(page):
    quarantine = page[page.index("Quarantine, 2 of 36 rows") :]
    assert "video views positive" in quarantine
    assert "video_views = 0" in quarantine
    several = report().quarantine.with_columns(_rules=pl.lit(["earnings_known", "fresh"]))
    assert "highest_yearly_earnings = " in render(replace(report(), quarantine=several))


def test_lineage_is_read_in_the_order_of_the_road():
    shuffled = replace(report(), lineage=(("training set", "t" * 64), ("odd", "o" * 64), ("source", "s" * 64)))
    found = render(shuffled)
    assert found.index("s" * 64) < found.index("t" * 64) < found.index("o" * 64)


def test_the_answer_names_what_happened():
    assert answer(report()) == "Promoted: channels-0123abcd now serves growth in dev."
    refused = replace(report(), outcome="not promoted", serves=(), champion_after="channels-old")
    assert answer(refused) == "Not promoted: channels-old goes on serving in dev."
    assert answer(replace(refused, champion_after="")) == "Not promoted: nothing serves yet in dev."


def test_the_same_report_gives_the_same_bytes(page):
    assert render(report()) == page
    assert len(page.encode()) < 1_500_000


def test_a_run_with_nothing_to_show_still_has_a_page():
    bare = replace(
        report(), outcome="not promoted", because="No candidate passed.", serves=(), evaluations=(), predictions={},
        scorecards=(), verdicts=(), archetypes=None, assignments=None, influence=(), quarantine=None,
        lineage=(), times=(), challenger=None, entry=None, champion_after="",
    )  # fmt: skip
    text = Tags(render(bare)).text
    assert "no gate was asked" in text
    assert "No target has a model." in text


def test_a_target_that_was_not_trained_is_on_the_page_with_the_reason():
    why = "target 'earnings' is 3 in all 60 labelled rows."
    cards = (*report().scorecards, Scorecard("earnings", "mlp", {}, "failed", why))
    assert f"Not trained: {why}" in Tags(render(replace(report(), scorecards=cards))).text


def test_residuals_by_a_target_say_that_they_are_sorted_by_the_outcome(page):
    assert "by size (by the actual subscribers)" in page


def test_of_a_chance_the_page_draws_what_was_said_against_how_often_it_came():
    answered = (Reliability(0.1, 0.2, 100, 0.15, 0.12), Reliability(0.6, 0.7, 99, 0.64, 0.7))
    drawn = render(replace(report(), evaluations=(replace(evaluation(), reliability=answered),)))
    assert "does a chance mean what it says?" in drawn and "predicted against actual" not in drawn
    assert "60 to 70" in Tags(drawn).text


def test_odd_figures_do_not_break_the_page():
    odd = pl.DataFrame({"actual": [0.0, 1.0, None, 5.0], "predicted": [1.0, float("nan"), 2.0, 5.0], "size": ["a"] * 4})
    lost = replace(evaluation(), r2=Interval(float("nan"), float("nan"), float("nan")), importances={}, slices=())
    assert "–" in render(replace(report(), predictions={"growth": odd}, evaluations=(lost,)))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_the_screen(page, tmp_path: Path, width: int):
    assert overhang(page, tmp_path, width) == "wide 0"


def test_a_skill_far_below_nothing_is_shown_to_lie_beyond_the_chart():
    awful = replace(report(), evaluations=(evaluation(skill=Interval(-2.5, -3.0, -1.2)),))
    said = "catboost: −250\u00a0% (−300 to −120\u00a0%), beyond the left end of the axis"
    assert f'title="{said}">← −250' in render(awful)
