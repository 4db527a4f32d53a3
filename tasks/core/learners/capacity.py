"""How much fits into memory: the largest batch, by trying, where running out of memory is an answer and no end.

What is tried, and what the batch is used for, belongs to whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

BATCH_MOST = 1 << 20
# A GPU says so by a class of its own; of a processor's allocator only these words tell that it was memory.
WORDS = ("can't allocate memory", "out of memory", "not enough memory")


class NoRoom(Exception):
    """What was tried does not fit into memory; caught by whoever tried."""


@contextmanager
def room() -> Iterator[None]:
    """Raise NoRoom for whatever the block raises where memory ran out, and give the GPU back what it held."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lacking = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        if not lacking and not any(word in str(error).lower() for word in WORDS):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise NoRoom(str(error).splitlines()[0] if str(error) else "out of memory") from error


def largest(work: Callable[[int], object], most: int = BATCH_MOST) -> int:
    """Return the largest batch up to *most* that *work* does without running out of memory; 0 where not even one.

    Doubling finds two sizes between which it lies, halving that span the rest, to within a sixteenth: fragments of
    memory move the edge by more than what is left.
    """
    fits, bursts, size = 0, most + 1, 1
    while bursts - fits > max(1, fits // 16):
        if _fits(work, size):
            fits = size
        else:
            bursts = size
        size = min(fits * 2, most) if bursts > most else (fits + bursts) // 2
    return fits


def _fits(work: Callable[[int], object], size: int) -> bool:
    try:
        with room():
            work(size)
    except NoRoom:
        return False
    return True
