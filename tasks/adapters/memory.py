"""The most memory this process has held: the kernel's count for this program alone.

``ru_maxrss`` survives exec, so a small process started by a large one begins with the large one's peak.
"""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path


def peak_mib() -> float:
    """Return the peak resident memory in MiB; without /proc, that of whoever started this process counts too."""
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE):
            return round(int(found.group(1)) / 1024, 1)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1024**2 if sys.platform == "darwin" else 1024), 1)
