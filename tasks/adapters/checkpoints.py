"""Checkpoints of long fits, as files of the home: whole or not there, gone once the fit is done.

What a checkpoint holds is the learner's; nothing here reads one. They may be deleted when no run is at work.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.adapters.parquet import replacing

# A run that was killed is started again within days, or never.
KEPT_SECONDS = 7 * 86_400


@dataclass(frozen=True)
class Notes:
    """The checkpoints in a folder, each under its fit's key."""

    folder: Path

    def read(self, key: str) -> bytes | None:
        """Return what was written last; None if nothing was."""
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, state: bytes) -> None:
        """Keep *state* whole, in place of what was there; raises OutOfSpace."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / key) as part:
            part.write_bytes(state)

    def forget(self, key: str) -> None:
        """Remove what was kept: the fit is done."""
        with suppress(FileNotFoundError):
            (self.folder / key).unlink()


def sweep(folder: Path) -> None:
    """Remove the folders of codes under *folder* that nobody wrote to for a week."""
    for each in folder.glob("*"):
        with suppress(FileNotFoundError):
            if time.time() - each.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(each, ignore_errors=True)
