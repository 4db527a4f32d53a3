"""Folders that are gone when their maker is: locked while it lives, swept by the next one when it was killed.

The operating system frees a lock however its holder dies, so nobody has to guess from an age or a process number
whether a folder is still somebody's. What is put into it is not known here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

UNFINISHED = ".new-"


@contextmanager
def own_folder(parent: Path, prefix: str = UNFINISHED) -> Iterator[Path]:
    """Yield a new folder in *parent* that is gone afterwards; begin by sweeping what killed makers left there."""
    parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ours:
        with _locked(parent):
            _sweep(parent, prefix)
            made = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
            folder = Path(ours.enter_context(made))
            ours.enter_context(_locked(folder))
        yield folder


def sweep(parent: Path, prefix: str = UNFINISHED) -> None:
    """Remove every folder of *parent* with that prefix whose maker is dead."""
    if parent.is_dir():
        with _locked(parent):
            _sweep(parent, prefix)


def _sweep(parent: Path, prefix: str) -> None:
    """Nobody is between making and locking a folder meanwhile: both are done while the parent is locked."""
    for left in parent.iterdir():
        if left.name.startswith(prefix):
            with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_NB):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)
