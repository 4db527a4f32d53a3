import subprocess
import sys
from pathlib import Path

from tasks.adapters.memory import peak_mib

ROOT = Path(__file__).parents[2]


def test_a_small_process_does_not_inherit_the_peak_of_a_large_one():
    held = bytearray(300 << 20)
    held[::4096] = b"\1" * len(held[::4096])
    said = "from tasks.adapters.memory import peak_mib; print(peak_mib())"
    child = subprocess.run([sys.executable, "-c", said], cwd=ROOT, check=True, capture_output=True, text=True)
    assert float(child.stdout) < 100
    assert peak_mib() > 300
