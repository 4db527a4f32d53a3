"""A store as a cloud's is: it keeps no file that could be read in place. It counts what is asked of it."""

from __future__ import annotations

import io
import math
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

from tasks.adapters.directory import DirectoryStore
from tasks.adapters.store import Head


class Counts(Counter[str]):
    """How often what was asked, by several threads at once: adding up takes more than one step."""

    def __init__(self, deadly_bytes: float) -> None:
        super().__init__()
        self._alone, self._deadly_bytes = threading.Lock(), deadly_bytes

    def add(self, what: str, number: int = 1) -> None:
        """Count *what*, and lose nothing that another thread counts meanwhile."""
        with self._alone:
            self[what] += number
            if self["bytes read"] > self._deadly_bytes:
                os.kill(os.getpid(), signal.SIGKILL)


class Counted(io.RawIOBase):
    """A stream that counts the bytes it gives."""

    def __init__(self, stream: BinaryIO, counts: Counts) -> None:
        self._stream, self._counts = stream, counts

    def readable(self) -> bool:
        """Say that this is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer*."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._counts.add("bytes read", len(data))
        return len(data)

    def close(self) -> None:
        """Close what it reads from."""
        self._stream.close()
        super().close()


class ElsewhereStore:
    """A ``Store`` that lies in *behind*, which stands for what is on the other side of a network.

    Whoever reads more than *deadly_bytes* of it is killed in the middle of that.
    """

    def __init__(self, root: Path, deadly_bytes: float = math.inf) -> None:
        self.behind = DirectoryStore(root)
        self.uri = "elsewhere://bucket/prefix?option=1"
        self.counts = Counts(deadly_bytes)

    def put(self, key: str, source: Path | bytes, **conditions: Any) -> Head:
        """Write and count."""
        head = self.behind.put(key, source, **conditions)
        self.counts.add("put")
        self.counts.add("bytes put", head.size)
        return head

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """Open and count."""
        self.counts.add("open")
        return io.BufferedReader(Counted(self.behind.open(key, start), self.counts), 1 << 16)

    def head(self, key: str) -> Head | None:
        """Look and count."""
        self.counts.add(f"head {key.partition('/')[0]}")
        return self.behind.head(key)

    def list(self, prefix: str) -> Any:
        """List and count."""
        self.counts.add("list")
        return self.behind.list(prefix)

    def delete(self, key: str) -> None:
        """Delete and count."""
        self.counts.add("delete")
        self.behind.delete(key)
