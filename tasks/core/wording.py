"""Free text as numbers of pieces: a tokenizer learned from the training part itself, kept as JSON within the encoder.

Byte-pair encoding (Sennrich et al. 2016), because it counts and adds no floats: the same rows give the same bytes,
whatever the threads. What a network makes of the pieces does not belong here.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.errors import NotTrusted

if TYPE_CHECKING:  # 0.1 CPU seconds that a workload without text does not pay
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.float64]

# What stands for nothing, for a character never seen, and between two texts of a row; these are pieces 0, 1 and 2.
PADDING, UNKNOWN, NEXT = SPECIAL = ("[pad]", "[unk]", "[next]")
PADDING_ID, UNKNOWN_ID, NEXT_ID = range(3)
# A title and its tags; of a longer text the rest is not read.
LENGTH = 32
PIECES_MOST = 2_000
# Few rows teach few pieces: beyond these a piece would be seen too seldom to mean anything.
PIECES_LEAST = 256
PIECES_PER_ROW = 1.0
SEEN_LEAST = 3
# Characters that are pieces of their own; rarer ones are unknown.
CHARACTERS_MOST = 200


@dataclass(frozen=True)
class TextCode:
    """How the texts of a row are coded: ``names`` one after the other, ``length`` pieces in all."""

    names: tuple[str, ...]
    length: int
    pieces: int
    tokenizer: str

    def coded(self, rows: pl.DataFrame) -> Floats:
        """Return n × length numbers of pieces, padding (0) behind; a row without a word is padding throughout."""
        read = _read(self.tokenizer)
        found = np.full((rows.height, self.length), PADDING_ID, dtype=np.int64)
        parts = [[each.ids for each in read.encode_batch_fast(_texts(rows[name]))] for name in self.names]
        for place, told in enumerate(zip(*parts, strict=True)):
            ids = _joined(told)[: self.length]
            found[place, : len(ids)] = ids
        return found.astype(np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> TextCode:
        """Read what ``to_json`` wrote; NotTrusted for a tokenizer that is not of the kind made here."""
        code = TextCode(tuple(plain["names"]), plain["length"], plain["pieces"], plain["tokenizer"])
        if _read(code.tokenizer).get_vocab_size() != code.pieces:
            raise NotTrusted(f"the tokenizer has not the {code.pieces} pieces it is said to; publish the bundle again")
        return code


def fit_text(rows: pl.DataFrame, names: Sequence[str], *, length: int = LENGTH, most: int = PIECES_MOST) -> TextCode:
    """Learn the pieces of all texts called *names* together, *most* at most and fewer where rows are few."""
    from tokenizers import trainers

    texts = [text for name in names for text in _texts(rows[name]) if text]
    size = int(min(most, max(PIECES_LEAST, rows.height * PIECES_PER_ROW)))
    empty = _empty()
    alphabet = _alphabet(empty, texts, CHARACTERS_MOST)
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(SPECIAL) + len(alphabet)),
        min_frequency=SEEN_LEAST,
        special_tokens=list(SPECIAL),
        # Which of equally rare characters a limit drops differs from run to run; so these are named one by one.
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    empty.train_from_iterator(texts, trainer)
    return TextCode(tuple(names), length, empty.get_vocab_size(), empty.to_str())


def _empty() -> Tokenizer:
    """Return a tokenizer that has learned nothing: case and width of letters are one, words and marks stand apart."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    empty = Tokenizer(models.BPE(unk_token=UNKNOWN))
    empty.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    empty.pre_tokenizer = pre_tokenizers.Whitespace()
    return empty


@functools.lru_cache(maxsize=32)
def _read(text: str) -> Tokenizer:
    """Return the tokenizer of its JSON; NotTrusted unless it is one of ours, apart from its pieces."""
    from tokenizers import Tokenizer

    try:
        plain, ours = json.loads(text), json.loads(_empty().to_str())
        for each in (plain, ours):
            each["model"] |= {"vocab": {}, "merges": []}
        specials = [each["content"] for each in plain.pop("added_tokens")]
        ours.pop("added_tokens")
        found = Tokenizer.from_str(text) if plain == ours and specials == list(SPECIAL) else None
    except Exception as error:  # the library raises a bare Exception for JSON that is no tokenizer
        raise NotTrusted(f"the tokenizer cannot be read ({error}); publish the bundle again") from error
    if found is None:
        raise NotTrusted("the tokenizer is not of the kind that is written here; it was not loaded")
    # Somebody's "[pad]" is a word like any other.
    found.encode_special_tokens = True
    return found


def _alphabet(empty: Tokenizer, texts: Sequence[str], most: int) -> list[str]:
    counts = Counter("".join(empty.normalizer.normalize_str(text) for text in texts))
    kept = sorted((item for item in counts.items() if not item[0].isspace()), key=lambda item: (-item[1], item[0]))
    return sorted(character for character, _ in kept[:most])


def _texts(column: pl.Series) -> list[str]:
    return [str(text) for text in column.cast(pl.String).fill_null("").to_list()]


def _joined(told: Sequence[Sequence[int]]) -> list[int]:
    """Return the pieces of a row's texts, those without a word left out."""
    ids: list[int] = []
    for each in told:
        if each:
            ids += [NEXT_ID, *each] if ids else each
    return ids
