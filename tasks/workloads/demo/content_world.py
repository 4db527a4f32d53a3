"""The words of demo videos and what they are worth: which help where, and which only in one order.

Tables and the drawing of titles and tags; who publishes when, and what becomes of it, is ``content``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tasks.workloads.demo.planting import choose

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Niche → (share of channels, logit of its chance, words of its own).
NICHES: Mapping[str, tuple[float, float, str]] = MappingProxyType(
    {
        "gaming": (
            0.30,
            -0.3,
            "boss level quest arena loot raid craft ranked build patch stream clutch map skin server",
        ),
        "education": (
            0.25,
            -0.6,
            "lesson theory proof history science maths physics exam study atoms planets cells grammar",
        ),
        "entertainment": (
            0.25,
            0.1,
            "show sketch guest prank stage comedy actor trailer scene backstage award sitcom duo",
        ),
        "music": (
            0.20,
            0.3,
            "song album acoustic cover remix tour band lyric melody drums guitar chorus vinyl concert",
        ),
    }
)
COMMON = (
    "the a my new best day first big real time world life game part one top great last full night home great again"
    " story inside behind every more first look moment people year way back over under after before never always today"
)
# Word → what it adds to the logit in each niche, in the niches' order: what helps one may hurt another.
HELPFUL: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "speedrun": (1.2, -1.0, 0.0, 0.0),
        "explained": (-0.8, 1.2, 0.0, 0.0),
        "reacts": (0.0, -0.8, 1.0, 0.0),
        "live": (-0.4, 0.0, -0.6, 1.2),
        "secret": (0.5, 0.5, 0.5, 0.5),
        "recap": (-0.6, -0.6, -0.6, -0.6),
    }
)
# Two words that help in this order and hurt in the other: no count of words can tell which it is.
IN_ORDER: tuple[tuple[str, str], ...] = (("why", "nobody"), ("finally", "broken"))
ORDER_WORTH = 1.4
HELPFUL_SHARE, ORDER_SHARE, LOUD_SHARE, ASKING_SHARE = 0.5, 0.5, 0.15, 0.2
WORDS_LEAST, WORDS_MOST = 3, 8


@dataclass(frozen=True)
class Written:
    """Titles and tags, and per row what the words add to the chance, which order they are in, and how they sound."""

    titles: list[str]
    tags: list[str]
    worth: Floats
    order: Ints
    loud: Ints
    asks: Ints


def write(niche: Ints, rng: np.random.Generator, *, louder: bool = False) -> Written:
    """Draw a title and tags per row of *niche*, a place in ``NICHES``; *louder*: every other title shouts."""
    rows = niche.size
    words = [_zipf(own, rng, rows) for own in _vocabularies()]
    length = rng.integers(WORDS_LEAST, WORDS_MOST + 1, rows)
    helpful = np.where(rng.random(rows) < HELPFUL_SHARE, rng.integers(0, len(HELPFUL), rows), -1)
    pair = np.where(rng.random(rows) < ORDER_SHARE, rng.integers(0, len(IN_ORDER), rows), -1)
    turned = rng.random(rows) < 0.5
    loud = (rng.random(rows) < (0.5 if louder else LOUD_SHARE)).astype(np.int64)
    asks = (rng.random(rows) < ASKING_SHARE).astype(np.int64)
    tag_count = choose(rng, rows, [0.05, *[0.95 / 12] * 12])
    place = rng.random((rows, 2))
    worth = _worth(niche, helpful, pair, turned)
    titles, tags = [], []
    for row in range(rows):
        chosen = list(words[niche[row]][row][: length[row]])
        chosen = _placed(chosen, helpful[row], pair[row], bool(turned[row]), place[row])
        titles.append(_spelt(chosen, bool(loud[row]), bool(asks[row])))
        tags.append(
            "|".join(dict.fromkeys([*chosen, *words[niche[row]][row]][-tag_count[row] :]))
            if tag_count[row]
            else "[none]"
        )
    order = np.where(pair < 0, 0, np.where(turned, -1, 1))
    return Written(titles, tags, worth, order, loud, asks)


def _vocabularies() -> list[list[str]]:
    common = list(dict.fromkeys(COMMON.split()))
    return [
        [word for pair in zip(own.split() * 4, common, strict=False) for word in pair] for *_, own in NICHES.values()
    ]


def _zipf(vocabulary: list[str], rng: np.random.Generator, rows: int) -> npt.NDArray[np.object_]:
    """Draw words as people use them: the second half as often as the first, the third a third as often."""
    names = list(dict.fromkeys(vocabulary))
    shares = [1 / (rank + 1) for rank in range(len(names))]
    drawn: npt.NDArray[np.object_] = np.array(names, dtype=object)[choose(rng, rows * WORDS_MOST, shares)]
    return drawn.reshape(rows, WORDS_MOST)


def _worth(niche: Ints, helpful: Ints, pair: Ints, turned: npt.NDArray[np.bool_]) -> Floats:
    table = np.vstack([*HELPFUL.values(), np.zeros(len(NICHES))])
    ordered: Floats = np.where(pair < 0, 0.0, np.where(turned, -ORDER_WORTH, ORDER_WORTH))
    worth: Floats = table[helpful, niche] + ordered
    return worth


def _placed(words: list[str], helpful: int, pair: int, turned: bool, place: Floats) -> list[str]:
    """Put the planted words in, the two of a pair side by side."""
    if helpful >= 0:
        words.insert(int(place[0] * (len(words) + 1)), list(HELPFUL)[helpful])
    if pair >= 0:
        at = int(place[1] * (len(words) + 1))
        words[at:at] = reversed(IN_ORDER[pair]) if turned else IN_ORDER[pair]
    return words


def _spelt(words: list[str], loud: bool, asks: bool) -> str:
    title = " ".join(words)
    return (title.upper() + "!" if loud else title.capitalize()) + ("?" if asks else "")
