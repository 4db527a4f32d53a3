"""What is thought about free text: counts, waits, breakers, budgets, and what an answer must be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tasks.core.enrichment import asking
from tasks.core.enrichment.answers import Malformed, answer_of, content_of, kept_answer, tokens_of
from tasks.core.enrichment.breaker import CLOSED, Breaker, Fuse, after_failure, closed_in
from tasks.core.enrichment.budget import Price, Tokens, billionths, cost, fits, worst_case
from tasks.core.enrichment.local import Counted, count
from tasks.core.enrichment.retrying import Patience, retry_after_seconds, retryable, wait_seconds

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PATIENCE = Patience(attempts=4, first_seconds=1, longest_seconds=60)
FUSE = Fuse(failures=3, open_seconds=60)
SAID = {"language": "en", "sentiment": 0.5, "mood": "calm", "themes": ["rain"]}


def test_a_text_is_counted_as_by_hand():
    assert count("The cat is not bad. The cat is great!") == Counted(
        language="en",
        sentiment=1.0,  # "not bad" is turned, "great" stays
        words=9,
        sentences=2,
        readability=4.5,  # 9 words in 2 sentences, none longer than 6 letters
        type_token_ratio=round(6 / 9, 6),
        repetition=round(1 / 7, 6),  # "the cat is" twice among 7 runs of three
    )


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Das ist nicht der Hund, den ich kenne", "de"),
        ("C'est la vie et je ne sais pas pourquoi", "fr"),
        ("No es lo que dices, es cómo lo haces por la noche", "es"),
        ("Не знаю, что сказать", "ru"),
        ("これは何ですか", "ja"),
        ("안녕하세요 여러분", "ko"),
        ("今天天气很好", "zh"),
        ("Bohemian Rhapsody", None),
        ("12345 !!!", None),
        ("", None),
    ],
)
def test_a_language_is_told_by_script_or_stop_words_and_is_missing_where_nothing_tells(text, language):
    assert count(text).language == language


def test_what_cannot_be_known_is_missing_and_not_zero():
    assert count("") == Counted(None, None, 0, 0, None, None, None)
    assert count("これは何ですか。はい。") == Counted("ja", None, None, 2, None, None, None)
    assert count("Das ist gut und nicht schlecht").sentiment is None


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (401, False), (404, False), (422, False), (408, True), (429, True), (500, True), (503, True)],
)
def test_only_what_may_pass_is_asked_again(status, again):
    assert retryable(status) is again


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header, seconds):
    assert retry_after_seconds(header, NOON) == seconds


def test_waits_grow_with_full_jitter_and_end():
    assert [wait_seconds(PATIENCE, failures, None, 0.5) for failures in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, None]
    assert wait_seconds(PATIENCE, 3, None, 0.0) == 0.0
    assert wait_seconds(Patience(99, 1, 60), 50, None, 0.999) == pytest.approx(59.94)


def test_a_wait_is_never_shorter_than_told_and_too_long_a_one_is_not_waited():
    assert wait_seconds(PATIENCE, 1, 7.0, 0.5) == 7.0
    assert wait_seconds(PATIENCE, 1, 61.0, 0.5) is None


def test_a_breaker_opens_lets_one_try_in_and_opens_again():
    twice = after_failure(after_failure(CLOSED, FUSE, 10.0), FUSE, 11.0)
    assert twice == Breaker(2, None) and closed_in(twice, FUSE, 11.0) == 0
    opened = after_failure(twice, FUSE, 12.0)
    assert opened == Breaker(3, 12.0)
    assert closed_in(opened, FUSE, 42.0) == 30.0
    assert closed_in(opened, FUSE, 72.0) == 0
    assert closed_in(after_failure(opened, FUSE, 73.0), FUSE, 73.0) == 60.0


def test_a_clock_that_was_set_back_keeps_no_breaker_open():
    assert closed_in(Breaker(3, 1_000_000.0), FUSE, 10.0) == 0


def test_a_cost_is_exact_and_rounded_up():
    price = Price(Decimal("0.00015"), Decimal("0.0006"))
    assert cost(price, Tokens(1_000, 1_000)) == 750_000
    assert cost(price, Tokens(1, 0)) == 150
    assert cost(Price(Decimal("0.0000000001"), Decimal(0)), Tokens(1, 0)) == 1


def test_a_budget_may_be_used_up_and_not_by_a_billionth_more():
    assert fits(billionths(Decimal("0.3")), billionths(Decimal("0.1")), billionths(Decimal("0.2")))
    assert not fits(billionths(Decimal("0.3")), billionths(Decimal("0.1")), billionths(Decimal("0.2")) + 1)


def test_no_text_has_more_tokens_than_its_worst_case():
    assert worst_case(("ab", "é"), 300) == Tokens(2 + 2 + 3 * 16, 300)


def test_an_answer_is_taken_with_or_without_a_fence():
    assert answer_of(json.dumps(SAID)) == answer_of(f"```json\n{json.dumps(SAID)}\n```")
    assert answer_of(json.dumps(SAID)).themes == ("rain",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sentiment": 2}, "sentiment: less_than_equal"),
        ({"sentiment": "0.5"}, "sentiment: float_type"),
        ({"sentiment": True}, "sentiment: float_type"),
        ({"language": "English"}, "language: string_pattern_mismatch"),
        ({"mood": "ecstatic"}, "mood: literal_error"),
        ({"themes": ["x" * 41]}, "themes: string_too_long"),
        ({"themes": ["x"] * 6}, "themes: too_long"),
        ({"sk-secret": 1}, "all of it: extra_forbidden"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused_and_not_quoted(change, told):
    with pytest.raises(Malformed, match=told) as refused:
        answer_of(json.dumps(SAID | change))
    assert "ecstatic" not in str(refused.value) and "sk-secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "null", "[]", '{"language": "en"}', json.dumps(SAID)[:-4], "[" * 100_000])
def test_half_an_answer_is_none(text):
    with pytest.raises(Malformed):
        answer_of(text)
    assert kept_answer(text) is None


def test_of_a_completion_the_first_choice_is_read_and_its_tokens_where_it_says_them():
    body = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    assert content_of(json.dumps(body).encode()) == "x"
    assert tokens_of(json.dumps(body).encode()) == Tokens(3, 4)
    assert tokens_of(json.dumps(body | {"usage": {"prompt_tokens": -3, "completion_tokens": 4}}).encode()) is None
    assert tokens_of(b"\xff\xfe") is None
    for wrong in ({"choices": []}, {"choices": [{"message": {"content": None}}]}, {"error": "no"}):
        with pytest.raises(Malformed, match="no chat completion"):
            content_of(json.dumps(wrong).encode())


def test_another_model_address_or_text_is_another_question():
    asked = asking.identity("https://one/v1", "small")
    names = {asking.name_of_answer(each, text) for each in (asked, asking.identity("https://one/v1", "large"),
             asking.identity("https://two/v1", "small")) for text in ("a", "b")}  # fmt: skip
    assert len(names) == 6
    assert asking.name_of_answer(asked, "a") in names


def test_a_text_travels_as_data():
    body = asking.question("m", 'ignore "this"', 300)
    assert [each["role"] for each in body["messages"]] == ["system", "user"]
    assert json.loads(body["messages"][1]["content"]) == {"text": 'ignore "this"'}
