"""The page a decision is made on, and its twin: what comes in which order, and what never gets in."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tasks.core.comparison import Comparison, SliceComparison
from tasks.core.differences import Known, differences
from tasks.core.digests import canonical_json
from tasks.core.gates import Incumbent
from tasks.core.page.dossier import render
from tasks.core.page.reliability import Meant
from tasks.core.page.sheet import (
    Asking,
    CalibrationBin,
    Came,
    Fit,
    Landed,
    Mover,
    Ran,
    Rollback,
    Said,
    Sheet,
    Spread,
    TargetFacts,
)
from tasks.core.paired import Odds
from tasks.core.profile_shift import shifts
from tasks.core.run import StageTime
from tasks.core.shadow import Cycle, Difference
from tasks.core.values import Interval, Recalibration, Reliability, Table, VariantScore, Verdict
from tasks.core.variants import Speed
from tests.browser import CHROMIUM, overhang, seen
from tests.deciding import dossier

HOSTILE = "<script>alert('owned')</script>"
ORDER = ("question", "verdicts", "differences", "slices", "drift", "fit", "movers", "lineage", "cost", "rollback")
BETTER = Interval(-0.12, -0.2, -0.04)
WORSE = Interval(0.3, 0.1, 0.5)
ODDS = Odds(400, 0.025, Interval(0.015, 0.007, 0.032), 0.9, 0.1, 0.62, 0.97, 0.14)
COMPARED = Comparison(
    "sales", "v-old", "better", BETTER, 0.02, 0.95, 240, units=80, p_better=0.003, odds=ODDS,
    slices=(
        SliceComparison("town", "Ayr", 60, BETTER, 1.0, True),
        SliceComparison("town", HOSTILE, 50, WORSE, 0.01, True),
        SliceComparison("town", "Bath", 9, WORSE, 0.01, False),
    ),
)  # fmt: skip
ASKED = dossier(
    champion=Incumbent("v-old", ("sales",), "9" * 64, 4),
    comparisons=(COMPARED,),
    verdicts=(
        Verdict("leakage", "pass", "0 found", "no leak", "nothing gives it away"),
        Verdict("beats the baseline", "fail", HOSTILE, "more", "too little", "sales"),
    ),
    recommendation="reject",
)


def profile(n: int, edge: float) -> bytes:
    """Two bins of visitors, cut at *edge*."""
    number = {"n": n, "nulls": 0, "infinite": 0, "min": 0.0, "max": 9.0, "edges": [edge], "counts": [n // 2, n // 2]}
    return json.dumps({"numbers": {"visitors": number}, "categories": {}}).encode()


def known(rows: int, **features: str) -> Known:
    return Known(("sales",), {"rows in": rows}, {"sales": features}, "a" * 64, {"sales": {"trees": 8}}, {}, {})


def sheet() -> Sheet:
    spread, part = Spread("all rows", 240, -1.0, -0.3, 0.0, 0.3, 1.0), CalibrationBin(24, 100.0, 110.0, 90.0, 130.0)
    return Sheet(
        title="Shops",
        entity="shop",
        digest=ASKED.digest,
        dossier=ASKED,
        came=Came("open"),
        question="Shall shops v-new replace v-old in prod?",
        answer="Reject it: it failed.",
        targets=(
            TargetFacts(
                "sales", "what it sells", "US$", True, "catboost", "shipped", 240, Interval(9.0, 8.0, 10.0),
                Interval(0.4, 0.3, 0.5), 0.05, "group_median", Interval(0.88, 0.83, 0.92), 0.8, 0.9,
                (Table("The update of the champion: accepted", ("rows", "change"), (("old rows", "+0.1 %"),)),),
            ),
        ),
        differences=differences(known(900, visitors="float"), known(1000, visitors="float", town="category")),
        champion_note="",
        shifts=shifts(profile(1000, 5.0), profile(1000, 2.0), {"sales"}),
        fits=(Fit("sales", "challenger", 240, (part,), (spread,)), Fit("sales", "champion", 240, (part,), (spread,))),
        movers=(Mover("sales", 7, HOSTILE, 100.0, 80.0, 160.0),),
        movers_of="the challenger's holdout",
        lineage=(("source", "6" * 64), ("dossier", ASKED.digest)),
        costs=(StageTime("train", 12.0, 21.5, 796, peak_mib=512.0),),
        rollback=Rollback("v-old", 4, "9" * 64, 0.75, "pass: 20 of 20 rows"),
        asking=Asking(
            False, True, 2, ("approver",), 10, ("alice",), ("greenlight approve shops",),
            (Said("hold", "bob", HOSTILE, "2026-11-21T10:00:00+00:00", "", True, ("it is expired",)),),
            "waiting for 2 more approvals",
        ),
    )  # fmt: skip


def with_dossier(**changes) -> Sheet:
    """The sheet of a dossier that is another one in *changes*."""
    return replace(sheet(), dossier=replace(ASKED, **changes))


def with_a_chance() -> Sheet:
    """The sheet of a target whose answers are chances, said of 150 rows."""
    answered = (Reliability(0.1, 0.2, 100, 0.15, 0.12), Reliability(0.6, 0.7, 50, 0.64, 0.7))
    said = (Reliability(0.3, 0.4, 100, 0.35, 0.12), Reliability(0.5, 0.6, 50, 0.55, 0.7))
    known = Recalibration(0.31, 0.31, 150, Interval(1.0, 0.8, 1.2), None, "one chance is said of every row")
    meant = Meant("sales", answered, said, "Platt's curve", known)
    return replace(sheet(), targets=(replace(sheet().targets[0], meant=meant),))


def words(page: str) -> str:
    """What the page says, without what it is drawn with."""
    return html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("<body") :])).replace("\u00a0", " ")


@pytest.fixture(scope="module")
def page() -> str:
    return render(sheet())


def test_the_sections_come_in_the_order_an_operator_asks(page):
    places = [page.index(f'id="{name}"') for name in (*ORDER, "deciding")]
    assert places == sorted(places)


def test_the_page_loads_nothing_from_anywhere(page):
    assert not re.search(r"https?://|url\(|@import|fetch|XMLHttp|<(script\s|link|img|iframe|object)", page)
    assert all(value.startswith("#") for value in re.findall(r'(?:href|src)="([^"]*)"', page))


def test_the_one_script_is_ours_and_the_policy_lets_no_other_run(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert f"script-src 'sha256-{digest}';" in policy and "default-src 'none';" in policy
    assert not re.search(r"\son[a-z]+=", page)


def test_what_an_outsider_named_is_text_and_never_markup(page):
    assert page.lower().count("<script") == 1
    assert page.count("&lt;script&gt;alert(") >= 4


def test_what_a_learner_says_of_itself_is_a_table(page):
    assert "<summary>sales: The update of the champion: accepted</summary>" in page and "+0.1 %" in page


def test_the_twin_has_the_same_digest_and_the_same_verdicts(page):
    twin = json.loads(canonical_json(sheet()))
    assert twin["digest"] == ASKED.digest
    assert f"A signature covers the dossier {twin['digest']}" in page
    assert twin["question"] in page and twin["answer"] in page
    table = page[page.index('aria-label="Verdicts"') :]
    rows = re.findall(r'<tr class="(\w+)"><th scope="row">([^<]+)</th>', table)
    assert sorted((each["outcome"], each["gate"]) for each in twin["dossier"]["verdicts"]) == sorted(rows)


def test_how_often_the_rule_errs_stands_beside_what_it_found(page):
    text = page.replace("\u00a0", " ")
    assert "said better on 6 of 400 identical pairs: 1.5 % [0.7, 3.2], promised 2.5 %; let 90 % of them pass" in text
    # Wilson's intervals for 388 and 248 of 400.
    assert "blocked 388 of 400 that are 10 % worse: 97.0 % [94.8, 98.3]" in text
    assert "called 248 of them worse: 62.0 % [57.2, 66.6]" in text
    assert "14 % worse is called worse in 80 %" in text


def test_a_rule_that_breaks_its_promise_says_so(page):
    broken = replace(ODDS, false_better=Interval(0.0975, 0.072, 0.13))
    found = render(with_dossier(comparisons=(replace(COMPARED, odds=broken),)))
    assert "more than promised" in found and "more than promised" not in page


def test_the_worst_slice_comes_first_and_one_with_few_rows_is_only_counted(page):
    drawn = page[page.index("slices, the worst first") : page.index('id="drift"')]
    assert drawn.index("alert(") < drawn.index("Ayr")
    assert "Bath" not in drawn and "1 have too few rows" in drawn


def test_what_changed_is_told_before_what_did_not(page):
    told = page[page.index('id="differences"') : page.index('id="slices"')]
    changed, _, same = told.partition("facts are the same")
    assert "900" in changed and "1,000" in changed and "sales: town" in changed
    assert "sales: trees" in same and "sales: trees" not in changed


def test_a_first_model_has_a_page_without_anything_to_compare_with():
    first = replace(
        sheet(), dossier=replace(ASKED, comparisons=()), differences=differences(None, known(900)), shifts=(), fits=(),
        movers=(), rollback=None, costs=(),
    )  # fmt: skip
    found = render(first)
    assert "What is it made of?" in found and '<th scope="col">champion</th>' not in found
    assert "there is no champion to compare with" in found and "no version serves here yet" in found


def test_a_shift_of_a_known_size_is_told_and_an_equal_column_has_none():
    # Half of the rows were below 5, then three quarters are: ¼ · ln 1.5 + ¼ · ln 2.
    (moved,) = shifts(profile(1000, 5.0), profile(1000, 1.0), ())
    assert moved.psi == pytest.approx(0.2747, abs=0.001)
    (same,) = shifts(profile(1000, 5.0), profile(1000, 5.0), ())
    assert (moved.reading, same.psi, same.reading) == ("large", 0.0, "chance")
    assert (moved.typical_before, moved.typical_after) == (5.0, 1.0)


def test_a_failed_verdict_comes_first_and_what_passed_is_folded(page):
    told, _, folded = page[page.index('aria-label="Verdicts"') :].partition("<details>")
    assert "beats the baseline" in told and "leakage" not in told
    assert "1 of 2 verdicts pass" in folded and "leakage" in folded[: folded.index("</details>")]
    assert "nothing is in doubt" in render(with_dossier(verdicts=ASKED.verdicts[:1]))


@pytest.mark.parametrize(
    ("outcome", "mark", "said"),
    [
        ("better", "diamond", "better"),
        ("non_inferior", "circle", "not worse"),
        ("inconclusive", "ring", "inconclusive"),
        ("worse", "triangle", "worse"),
    ],
)
def test_every_outcome_has_a_mark_of_its_own_beside_both_lines(outcome, mark, said):
    found = render(with_dossier(comparisons=(replace(COMPARED, outcome=outcome),)))
    (duel,) = re.findall(r"<figure(?:(?!</figure>).)*on the same rows.*?</figure>", found, re.DOTALL)
    row = duel[duel.index('class="row"') : duel.index('class="row foot"')]
    assert f"#m-{mark}" in row and f"sales: {said}<" in row
    assert 'class="zero"' in row and 'class="limit"' in row


def test_what_moves_most_is_drawn_from_champion_to_challenger_with_the_truth(page):
    drawn = page[page.index('id="movers"') : page.index('id="lineage"')]
    row = drawn[drawn.index('class="row"') : drawn.index('class="row foot"')]
    assert all(f"#m-{mark}" in row for mark in ("diamond", "circle", "cross"))
    assert "×2.00" in row and "champion says" in drawn


def test_of_a_batch_both_have_scored_the_differences_are_told_and_no_truth_is_made_up():
    moved = Difference("sales", 900, 0.031, 0.12, 0.97, 10, 0.3, (), ())
    batch = Cycle("shops", "prod", "2026-11-20", "r", "s", "v-old", "v-new", 900, (moved,), ("sales: it left",))
    mover = Mover("sales", None, "shop 7", None, 80.0, 160.0)
    found = render(replace(sheet(), shadow=batch, movers=(mover,), movers_of="the 900 rows scored in prod"))
    told = words("<body>" + found[found.index('id="movers"') : found.index('id="lineage"')])
    assert "Of the 900 rows scored in prod." in told and "Not a clean batch: sales: it left." in told
    assert "3.1 %" in told and "0.97" in told and "30 % of the champion's 10 largest" in told
    assert "shop 7" in told and "×2.00" in told and "true" not in told


def about_truth(found: str) -> str:
    """What the page says of who was right."""
    told = words("<body>" + found[found.index('id="movers"') : found.index('id="lineage"')])
    return re.sub(r"\s+", " ", told.partition("And who was right?")[2])


def test_who_was_right_is_told_of_each_day_and_of_all_of_them_once_labels_have_landed(page):
    ours, theirs, smaller = Interval(10, 9, 11), Interval(8, 7, 9), Interval(-0.2, -0.3, 0)
    day = Landed("prod", "2026-11-18", "sales", 100, 100, ours, theirs, smaller)
    later = replace(day, date="2026-11-19", rows=300, known=300, challenger=ours, change=Interval(0, -0.1, 0.1))
    broken = replace(day, date="2026-11-20", rows=90)
    told = about_truth(render(replace(sheet(), landed=(day, later, broken))))
    # (100 · 8 + 300 · 10) / (100 · 10 + 300 · 10) = 0.95; what it could not answer whole is in the table alone.
    assert "the challenger's error came out 5.0 % smaller than the champion's, over 400 labels of 2 days." in told
    assert told.index("2026-11-20, prod sales 90 of 100") < told.index("2026-11-18, prod sales 100")
    assert "US$ 10 [9, 11] US$ 8 [7, 9] −20.0 % (−30 to 0 %)" in told
    assert "And who was right?" not in page


def test_without_a_label_it_says_that_none_has_landed_and_what_cannot_be_read_is_said():
    batch = Cycle("shops", "prod", "2026-11-20", "r", "s", "v-old", "v-new", 900, (), ())
    assert "No label has landed yet" in about_truth(render(replace(sheet(), shadow=batch)))
    assert HOSTILE in about_truth(render(replace(sheet(), landed_note=f"it cannot be read: {HOSTILE}")))


def test_a_network_is_shown_in_every_way_it_was_run_and_a_winner_without_one_in_none(page):
    ways = (
        Ran("growth", VariantScore("fp32", 4096, 2.0, 0.0, within=True), Speed(0.5, 0.75, 1000, 2000)),
        Ran("growth", VariantScore("int8", 1024, 2.5, 0.02, reason="its error is <b>beyond</b>"), None),
    )
    told = render(replace(sheet(), variants=ways))
    assert "How is its network run?" in told and "How is its network run?" not in page
    assert all(each in words(told) for each in ("0.5 (0.75)", "1,000", "4.0", "no: its error is <b>beyond</b>"))
    assert "<b>beyond</b>" not in told


def test_what_the_run_cost_is_added_up(page):
    told = words(page[page.index('id="cost"') : page.index('id="rollback"')].replace('id="cost"', "<body", 1))
    assert re.sub(r"\s+", " ", told).count("CPU 22 s") == 1
    assert "12 s" in told and "512 MiB" in told


def test_every_moment_has_the_one_form():
    asked = replace(sheet(), came=Came("promoted", "2026-11-21T11:30:00+00:00", 5))
    late = Verdict("age of the evidence", "pass", "measured at 2026-11-20T09:00:00+00:00", "", "")
    found = words(render(replace(asked, dossier=replace(ASKED, verdicts=(late,)))))
    assert not re.search(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?! UTC)", found)
    assert all(f"2026-11-{when} UTC" in found for when in ("20 09:00", "21 09:00", "21 10:00", "21 11:30", "22 12:00"))


def test_the_twin_gives_back_the_sheet_its_digest_and_its_page(page):
    twin = canonical_json(sheet())
    back = TypeAdapter(Sheet).validate_json(twin)
    assert (back, back.dossier.digest, render(back)) == (sheet(), ASKED.digest, page)
    assert canonical_json(back) == twin


def test_what_is_signed_does_not_depend_on_how_it_is_shown():
    bare = replace(sheet(), title="other", targets=(), fits=(), movers=(), costs=(), shifts=(), champion_note="gone")
    for each in (sheet(), bare):
        assert each.dossier.digest == ASKED.digest
        assert f"A signature covers the dossier {ASKED.digest}." in render(each)


HOSTILE_TEXTS = (
    HOSTILE,
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}</style></script><!--",
    "\u0642\u0646\u0627\u0629 \u202eevorppa\u202c",
    "long" * 2_500,
    "\x00\x1b[31m\udcff",
)


def attributes(page: str) -> set[tuple[str, str]]:
    """Every element of the page with every attribute it has somewhere."""
    met = set()
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, attrs: met.update((tag, name) for name, _ in [("", None), *attrs])
    reader.feed(page)
    return met


def hostile(text: str) -> Sheet:
    """The sheet with *text* wherever somebody outside can put it: rows, columns, reasons, names, a bundle's facts."""
    base, slices = sheet(), (SliceComparison("town", text, 60, WORSE, 0.01, True),)
    told = replace(base.asking.said[0], approver=text, reason=text, refused=(text,))
    verdicts = tuple(Verdict(text, outcome, text, text, text, text) for outcome in ("fail", "inconclusive", "pass"))
    return replace(
        base,
        title=text,
        entity=text,
        champion_note=text,
        dossier=replace(
            ASKED, verdicts=verdicts, comparisons=(replace(COMPARED, reason=text, slices=slices),), break_glass=text,
            requested_by=text, because=text,
        ),
        targets=(replace(base.targets[0], unit=text, algorithm=text, baseline=text),),
        differences=differences(known(900), known(1000, **{text: text})),
        shifts=(replace(base.shifts[0], name=text, typical_before=text),),
        movers=(replace(base.movers[0], entity=text),),
        lineage=((text, text),),
        costs=(replace(base.costs[0], stage=text),),
        rollback=replace(base.rollback, rehearsed=text, version=text),
        asking=replace(base.asking, people=(text,), said=(told,), stands=text, commands=(text,)),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", HOSTILE_TEXTS, ids=["script", "quotes", "templates", "right to left", "long", "unseen"]
)
def test_hostile_text_changes_nothing_but_words(page, text):
    found = render(hostile(text))
    found.encode()
    assert attributes(found) <= attributes(page)
    assert [found.count(f"<{tag}") for tag in ("script", "style")] == [1, 1]
    assert not re.search("[\x00-\x08\x1b\u202a-\u202e\u2066-\u2069\ud800-\udfff]", found)
    shown = text.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c")
    assert words(found).count(shown.replace("\x00\x1b", "\\u0000\\u001b").replace("\udcff", "\\udcff")) >= 15


def test_a_chance_says_how_far_it_is_from_how_often_it_came_before_and_after_it_was_corrected():
    page = render(with_a_chance())
    said = " ".join(words(page).split())
    # (100 · 0.03 + 50 · 0.06) / 150, and (100 · 0.23 + 50 · 0.15) / 150.
    assert "expected calibration error, as answered 0.040 before correction 0.203 corrected by Platt's curve" in said
    assert "sales: does a chance mean what it says?" in said and "sales: calibration" not in said
    # 12 of 100 came: Wilson's interval at 95 %.
    assert "10 to 20 % 100 15.0 % 12.0 % 7 to 20 % −3.0 %" in said
    assert "100 rows" in said and "as answered" in said
    twin = json.loads(canonical_json(with_a_chance()))["targets"][0]["meant"]
    assert twin["answered"][0]["came"] == 0.12 and twin["corrected_by"] == "Platt's curve"
    assert "odds that came over odds that were said 1.00 (0.80 to 1.20)" in said
    assert "slope of what came over what was said not known: one chance is said of every row" in said
    assert twin["recalibration"]["odds"] == {"value": 1.0, "low": 0.8, "high": 1.2}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_of_a_chance_is_never_wider_than_the_screen(tmp_path: Path, width: int):
    assert overhang(render(with_a_chance()), tmp_path, width) == "wide 0"


def test_the_same_sheet_gives_the_same_bytes(page):
    assert render(sheet()) == page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_the_screen(page, tmp_path: Path, width: int):
    assert overhang(page, tmp_path, width) == "wide 0"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_name_of_ten_thousand_letters_does_not_widen_the_page(tmp_path: Path, width: int):
    assert overhang(render(hostile("long" * 2_500)), tmp_path, width) == "wide 0"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_browser_runs_the_copy_button_and_no_script_that_got_in(page, tmp_path: Path):
    assert 'aria-live="polite" hidden>' in page
    planted = page.replace("</body>", "<script>document.body.append('owned')</script></body>")
    found = seen(planted, tmp_path)
    assert 'aria-live="polite">Copy</button>' in found and "hidden>Copy" not in found
    assert "</script>owned" not in found
