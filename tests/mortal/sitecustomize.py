"""Kills the process that Python starts with this folder on its path, at once after a line of progress.

Who watches from beside may be given the processor too late: by then the stage after it is done, or all of them are.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


class Deadly:
    """A stream whose so many-th line of a stage is the last of its process."""

    def __init__(self, stream: Any, stage: str, times: int) -> None:
        self._stream, self._stage, self._left = stream, stage, times

    def write(self, text: str) -> int:
        """Write, and die of what was to be waited for."""
        written: int = self._stream.write(text)
        self._left -= sum(f"{line[2:]} ".startswith(f"{self._stage} ") for line in text.splitlines() if line[:1] == "✓")
        if self._left <= 0:
            self._stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


sys.stderr = Deadly(sys.stderr, os.environ["DIES_AFTER"], int(os.environ["DIES_AFTER_TIMES"]))
