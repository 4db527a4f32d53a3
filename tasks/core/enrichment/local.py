"""The analyser that needs nobody: what can be counted in a text, its language by stop words, its tone by a lexicon.

The same text has the same answer on any machine and in any year of this version. What it cannot know is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tasks.core.enrichment.words import NEGATIONS, NEGATIVE, POSITIVE, STOP_WORDS

# Another number where any answer would be another.
IDENTITY = "local/1"
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*")
SENTENCE_END = re.compile(r"[.!?…。！？]+(?=\s|$|[^\s.!?…])|\n+")
# First and last letter of a script → the language it is most likely written for, where it is one.
SCRIPTS: Sequence[tuple[str, str, str]] = (
    ("\u3040", "\u30ff", "ja"),
    ("\uac00", "\ud7af", "ko"),
    ("\u4e00", "\u9fff", "zh"),
    ("\u0e00", "\u0e7f", "th"),
    ("\u0600", "\u06ff", "ar"),
    ("\u0590", "\u05ff", "he"),
    ("\u0900", "\u097f", "hi"),
    ("\u0370", "\u03ff", "el"),
    ("\u0400", "\u04ff", "ru"),
)
# Written without spaces: what stands between two of them is no word.
SPACELESS = frozenset({"ja", "zh", "th"})
SCRIPT_SHARE = 0.3
LEAST_STOP_WORDS = 2
NEGATED_WITHIN = 3
LONG_WORD = 6
REPEATED = 3


@dataclass(frozen=True)
class Counted:
    """What is in a text; None where it cannot be said.

    ``sentiment`` is (praise − blame) ÷ (praise + blame), in English only, 0 where there is neither. ``readability`` is
    LIX, the higher the harder (C.-H. Björnsson, 1968). ``type_token_ratio`` is distinct words ÷ words, ``repetition``
    the share of three words in a row that occurred before.
    """

    language: str | None
    sentiment: float | None
    words: int | None
    sentences: int
    readability: float | None
    type_token_ratio: float | None
    repetition: float | None


COLUMNS: Mapping[str, pl.DataType] = {
    "language": pl.String(),
    "sentiment": pl.Float64(),
    "words": pl.Int64(),
    "sentences": pl.Int64(),
    "readability": pl.Float64(),
    "type_token_ratio": pl.Float64(),
    "repetition": pl.Float64(),
}


def count(text: str) -> Counted:
    """Return what is in *text*."""
    words = [each.replace("’", "'") for each in WORD.findall(text.casefold())]
    language, ends = language_of(text, words), sentences_in(text)
    if language in SPACELESS:
        return Counted(language, None, None, ends, None, None, None)
    return Counted(
        language=language,
        sentiment=sentiment_of(words) if language == "en" else None,
        words=len(words),
        sentences=ends,
        readability=_lix(words, ends),
        type_token_ratio=_rounded(len(set(words)), len(words)),
        repetition=_repetition(words),
    )


def language_of(text: str, words: Sequence[str]) -> str | None:
    """Return the language of most letters' script, else of most stop words; None where nothing tells, or two tie."""
    letters = sum(letter.isalpha() for letter in text)
    for first, last, language in SCRIPTS:
        if letters and sum(first <= letter <= last for letter in text) >= SCRIPT_SHARE * letters:
            return language
    hits = sorted((len(known.intersection(words)), name) for name, known in STOP_WORDS.items())
    (second, _), (best, language) = hits[-2:]
    return language if best >= LEAST_STOP_WORDS and best > second else None


def sentiment_of(words: Sequence[str]) -> float:
    """Return how much of what praises or blames praises, from -1 to 1; a negation up to three words before turns it."""
    score = said = 0
    for place, word in enumerate(words):
        sign = (word in POSITIVE) - (word in NEGATIVE)
        if sign:
            turned = not NEGATIONS.isdisjoint(words[max(0, place - NEGATED_WITHIN) : place])
            score, said = score + (-sign if turned else sign), said + 1
    return round(score / said, 6) if said else 0.0


def sentences_in(text: str) -> int:
    """Return how many sentences or lines *text* has."""
    return sum(any(letter.isalnum() for letter in part) for part in SENTENCE_END.split(text))


def _lix(words: Sequence[str], ends: int) -> float | None:
    if not words or not ends:
        return None
    return round(len(words) / ends + 100 * sum(len(word) > LONG_WORD for word in words) / len(words), 6)


def _repetition(words: Sequence[str]) -> float | None:
    runs = list(zip(*(words[start:] for start in range(REPEATED)), strict=False))
    return _rounded(len(runs) - len(set(runs)), len(runs))


def _rounded(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
