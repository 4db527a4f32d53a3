"""Texts as numbers of pieces: the same rows give the same pieces, and every text has an answer."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from tasks.core.encoding import Encoder, fit_encoder
from tasks.core.wording import NEXT_ID, UNKNOWN_ID, TextCode, fit_text
from tasks.errors import NotTrusted
from tasks.workloads.spec import Feature
from tests.builders import shops, shops_spec

WORDS = [f"{first}{last}" for first in ("speed", "live", "cook", "play", "best") for last in ("run", "ing", "s", "day")]


def titles(rows: int, seed: int = 1) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    said = [" ".join(chance.choice(WORDS, 5)) for _ in range(rows)]
    return pl.DataFrame({"title": said, "tags": [None if row % 5 == 0 else said[row][:9] for row in range(rows)]})


CODE = fit_text(titles(200), ["title", "tags"])


def test_the_same_rows_give_the_same_pieces_and_other_rows_others():
    assert fit_text(titles(200), ["title", "tags"]) == CODE
    assert fit_text(titles(200, seed=2), ["title", "tags"]).tokenizer != CODE.tokenizer
    assert CODE.pieces < 256


def test_case_and_width_of_letters_are_one_and_a_frequent_word_is_a_piece():
    asked = pl.DataFrame({"title": ["speedrun", "SpeedRun", "ｓｐｅｅｄｒｕｎ"], "tags": [None, "", " "]})
    coded = CODE.coded(asked)
    assert coded.shape == (3, 32) and coded[0].tolist() == coded[1].tolist() == coded[2].tolist()
    assert (coded[0] > 0).sum() == 1


def test_two_texts_of_a_row_stand_one_after_the_other_and_a_long_one_is_cut():
    (both,) = CODE.coded(pl.DataFrame({"title": ["speedrun"], "tags": ["cooking"]}))
    assert both[1] == NEXT_ID and (both[:3] > 0).all() and (both[3:] == 0).all()
    (long,) = CODE.coded(pl.DataFrame({"title": ["speedrun " * 50], "tags": ["cooking"]}))
    assert (long == both[0]).all()


def test_an_empty_text_is_padding_and_a_character_never_seen_is_unknown():
    asked = pl.DataFrame({"title": ["", None, "☃"], "tags": [None, "  ", None]}, schema={"title": str, "tags": str})
    coded = CODE.coded(asked)
    assert (coded[:2] == 0).all()
    assert coded[2, 0] == UNKNOWN_ID and (coded[2, 1:] == 0).all()


def test_words_that_look_like_padding_are_words():
    (coded,) = CODE.coded(pl.DataFrame({"title": ["[pad]"], "tags": [None]}, schema={"title": str, "tags": str}))
    assert coded[0] > NEXT_ID or coded[0] == UNKNOWN_ID


def test_an_encoder_with_text_survives_json_and_one_without_has_no_word_of_it():
    rows = shops(60).hstack(titles(60))
    features = (*shops_spec().features, Feature("title", "text", "planted"))
    encoder = fit_encoder(rows, features, np.arange(60.0))
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    layout = encoder.layout
    assert encoder.design(rows, "text").shape == (60, layout.tree + layout.dense + 32)
    assert encoder.design(rows, "tree").shape == (60, layout.tree)
    assert "text" not in fit_encoder(rows, features[:-1], np.arange(60.0)).to_json()


@pytest.mark.parametrize(("ours", "theirs"), [("NFKC", "NFD"), ("[pad]", "[cls]"), ('"model"', '"mode"')])
def test_a_tokenizer_that_was_changed_is_refused(ours, theirs):
    with pytest.raises(NotTrusted, match="the tokenizer"):
        TextCode.from_json(CODE.to_json() | {"tokenizer": CODE.tokenizer.replace(ours, theirs, 1)})
    with pytest.raises(NotTrusted, match="has not the 7 pieces"):
        TextCode.from_json(CODE.to_json() | {"pieces": 7})
