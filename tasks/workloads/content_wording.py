"""What is counted of a video's title and tags. What the words mean is for learners of text."""

from __future__ import annotations

import polars as pl

EMOJI = r"\p{Extended_Pictographic}"
WORD = r"[\p{L}\p{N}']+"


def with_wording(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add what is counted of ``title`` and ``tags``; a video without tags has none of them, not a missing number."""
    title, tags = pl.col("title"), pl.col("tags").fill_null("")
    letters = title.str.count_matches(r"\p{L}")
    each = tags.str.to_lowercase().str.split("|").list.eval(pl.element().str.strip_chars(' "'))
    counted = rows.with_columns(
        _words=title.str.to_lowercase().str.extract_all(WORD),
        _tags=each.list.filter(pl.element() != ""),
        title_chars=_number(title.str.len_chars()),
        title_words=_number(title.str.count_matches(WORD)),
        title_capitals=pl.when(letters > 0).then(title.str.count_matches(r"\p{Lu}") / letters),
        title_digits=_number(title.str.count_matches(r"[0-9]")),
        title_asks=_number(title.str.count_matches(r"\?")),
        title_exclaims=_number(title.str.count_matches("!")),
        title_marks=_number(title.str.count_matches(r"[|:()\[\]]")),
        title_emoji=_number(title.str.count_matches(EMOJI)),
    )
    named, words, tagged = pl.col("_tags"), pl.col("_words").list.unique(), pl.col("_tags").list.len()
    shared = words.list.set_intersection(named).list.len()
    return counted.with_columns(
        tag_count=_number(tagged),
        tag_chars=pl.when(tagged > 0).then(named.list.eval(pl.element().str.len_chars()).list.mean()),
        tags_in_title=pl.when(words.list.len() > 0).then(shared / words.list.len()),
    ).drop("_words", "_tags")


def _number(count: pl.Expr) -> pl.Expr:
    return count.cast(pl.Float64)
