"""256 MB up and down, killed in the middle, and many races: what only size and repetition show."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import AlreadyExists
from tests.command_line import eventually
from tests.emulators import proxy
from tests.emulators.proxy import STALL, some
from tests.stores import PATIENT, RACERS, at_once

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
LARGE_BYTES = 256 << 20
EXTRA_BYTES = 64 << 20
WRITES = ("PUT", "POST")
STREAMED = """
import hashlib, json, re, sys
from pathlib import Path
from tasks.adapters.store import open_store

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

def extra(work):
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    work()
    return peak() - before

def read():
    with store.open("large") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            found.update(piece)

store, found = open_store(sys.argv[1]), hashlib.sha256()
store.put("warm", b"up")
store.open("warm").close()
print(json.dumps([extra(lambda: store.put("large", Path(sys.argv[2]))), extra(read), found.hexdigest()]))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    source = tmp_path_factory.mktemp("large") / "large"
    block = random.Random(1).randbytes(1 << 20)
    with source.open("wb") as out:
        for number in range(LARGE_BYTES >> 20):
            out.write(number.to_bytes(4, "big") + block[4:])
    return source


def test_a_large_object_streams_both_ways_in_little_memory(place, large, capsys):
    command = [sys.executable, "-c", STREAMED, place.open().uri, str(large)]
    patient = os.environ | PATIENT
    done = subprocess.run(command, cwd=ROOT, env=patient, capture_output=True, text=True, check=False, timeout=1000)
    assert done.returncode == 0, done.stderr
    up, down, digest = json.loads(done.stdout)
    with large.open("rb") as stream:
        assert digest == hashlib.file_digest(stream, "sha256").hexdigest()
    with capsys.disabled():
        print(f"\n{place.kind}: 256 MB take {up >> 20} MB more up, {down >> 20} MB more down")
    assert up <= EXTRA_BYTES
    assert down <= EXTRA_BYTES
    place.open().delete("large")


UPLOAD = """
import sys
from pathlib import Path
from tasks.adapters.store import open_store
open_store(sys.argv[1]).put("killed", Path(sys.argv[2]))
"""


def test_a_large_upload_killed_in_the_middle_leaves_nothing_visible(cloud, large):
    with proxy.before(cloud.emulator.port) as way:
        # What comes after the seventh is held up, so that it cannot be over before it is killed.
        way.rule = some(range(7, 1000), STALL, *WRITES)
        command = [sys.executable, "-c", UPLOAD, cloud.open(port=way.port).uri, str(large)]
        with subprocess.Popen(command, cwd=ROOT) as upload:
            eventually(lambda: sum(method in WRITES for method, _ in way.seen) > 6, seconds=120)
            upload.send_signal(signal.SIGKILL)
        assert upload.returncode == -signal.SIGKILL
    store = cloud.open()
    assert store.head("killed") is None
    assert list(store.list("")) == []
    assert store.put("killed", large) == store.head("killed")
    store.delete("killed")


def test_every_race_to_create_has_one_winner(place):
    stores = [place.open() for _ in range(RACERS)]
    for turn in range(60):

        def create(who, turn=turn):
            try:
                return bool(stores[who].put(f"race/{turn}", str(who).encode(), if_absent=True))
            except AlreadyExists:
                return False

        assert sum(at_once(create)) == 1
