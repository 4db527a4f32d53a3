"""What a directory promises beyond what every store does, which ``test_stores`` holds it to."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.adapters.directory import DirectoryStore
from tasks.adapters.store import KeepsFiles, open_store, read_bytes
from tasks.errors import AlreadyExists, BadRequest, Conflict, HomeDamaged, OutOfSpace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "a store")


def leftovers(store):
    return list((store.root / ".tmp").iterdir())


def started(script, store, name=""):
    command = [sys.executable, "-c", script, str(store.root), name]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_an_object_is_a_file_of_this_machine(store):
    store.put("k", b"v")
    again = open_store(store.uri)
    assert isinstance(again, KeepsFiles)
    assert again.local_path("k").read_bytes() == b"v"


def test_whatever_becomes_of_a_write_nothing_is_left_beside_it(store, tmp_path):
    store.put("k", b"first", if_absent=True)
    with pytest.raises(AlreadyExists, match="k is already in file:///"):
        store.put("k", b"second", if_absent=True)
    with pytest.raises(HomeDamaged, match="nothing was stored"):
        store.put("k", b"flipped", sha256="0" * 64)
    with pytest.raises(HomeDamaged, match=r"gone\.parquet was to be stored but cannot be read"):
        store.put("k", tmp_path / "gone.parquet")
    assert leftovers(store) == []


def test_what_is_not_there_is_told(store):
    with pytest.raises(Conflict, match="at version no object"):
        store.put("k", b"3", if_match="abc")
    assert store.head("k") is None
    with pytest.raises(HomeDamaged, match="a/b is gone from the store"):
        store.open("a/b")


def test_a_disk_takes_names_that_clouds_do_not(store):
    store.put("ä ö/ü\n", b"v", if_absent=True)
    assert read_bytes(store, "ä ö/ü\n") == b"v"
    assert list(store.list("")) == ["ä ö/ü\n"]


@pytest.mark.parametrize("uri", ["s4://bucket", "relative/path", "", "/absolute"])
def test_an_unknown_kind_of_store_is_refused(uri):
    with pytest.raises(BadRequest, match="no store is known for"):
        open_store(uri)


@pytest.mark.parametrize("uri", ["file://other-host/x", "file:relative", "file:///a?b=c", "file:///a#b"])
def test_an_address_that_is_no_directory_of_this_machine_is_refused(uri):
    with pytest.raises(BadRequest, match="names no directory of this machine"):
        open_store(uri)


def test_opening_a_store_writes_nothing(store):
    assert store.head("a") is None
    assert list(store.list("")) == []
    assert not store.root.exists()


def test_large_objects_have_versions_too(store):
    first = store.put("k", b"1" * 100_000)
    assert store.head("k") == first
    assert store.put("k", b"2" * 100_000, if_match=first.version).version != first.version


def test_a_key_below_an_object_is_refused(store):
    store.put("a", b"")
    with pytest.raises(BadRequest, match="cannot be a key"):
        store.put("a/b", b"")
    assert store.head("a/b") is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_takes_nothing_is_out_of_space_and_keeps_nothing(store, monkeypatch, code):
    store.put("k", b"before")

    def full(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfSpace, match=f"could not take or give k: {os.strerror(code)}; make room"):
        store.put("k", b"after")
    assert read_bytes(store, "k") == b"before"
    assert leftovers(store) == []


LIMITED = """
import resource, sys
from pathlib import Path
from tasks.adapters.directory import DirectoryStore
from tasks.errors import OutOfSpace
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store = DirectoryStore(Path(sys.argv[1]))
store.put("small", b"fits")
try:
    store.put("large", b"x" * 100_000)
except OutOfSpace as error:
    print(error)
"""


def test_a_write_the_system_cuts_midway_is_out_of_space_and_keeps_nothing(store):
    limited = started(LIMITED, store)
    said, _ = limited.communicate()
    assert "could not take or give large: File too large; make room" in said
    assert list(store.list("")) == ["small"]
    assert leftovers(store) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((BadRequest, OutOfSpace)):
        DirectoryStore(tmp_path / "file").put("k", b"")


def test_without_hard_links_there_is_still_one_winner(store, monkeypatch):
    def unsupported(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    store.put("k", b"first", if_absent=True)
    with pytest.raises(AlreadyExists):
        store.put("k", b"second", if_absent=True)
    assert read_bytes(store, "k") == b"first"


def test_what_a_killed_writer_left_is_swept_by_the_next_one(store):
    store.put("k", b"")
    old, new = store.root / ".tmp" / "old", store.root / ".tmp" / "new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    # A busy machine may take seconds from here to the sweep.
    os.utime(new, (time.time() + 600,) * 2)
    DirectoryStore(store.root).put("k", b"again")
    # One made within the last seconds may not have been locked yet.
    assert leftovers(store) == [new]
    assert list(store.list("")) == ["k"]


WRITER = """
import fcntl, os, sys, time
from pathlib import Path
part = Path(sys.argv[1]) / ".tmp" / "living"
with part.open("xb") as out:
    fcntl.flock(out, fcntl.LOCK_EX)
    out.write(b"half")
    out.flush()
    os.utime(part, (time.time() - 25 * 3600,) * 2)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_what_a_living_writer_has_half_written_is_kept_however_long_it_takes(store):
    store.put("k", b"")
    writer = started(WRITER, store)
    assert writer.stdout.readline() == "locked\n"
    DirectoryStore(store.root).put("k", b"again")
    assert [part.name for part in leftovers(store)] == ["living"]
    writer.kill()
    writer.communicate()
    DirectoryStore(store.root).put("k", b"once more")
    assert leftovers(store) == []


RACER = """
import sys
from pathlib import Path
from tasks.adapters.directory import DirectoryStore
from tasks.errors import AlreadyExists
store = DirectoryStore(Path(sys.argv[1]))
print("ready", flush=True)
for key in sys.stdin:
    try:
        store.put(key.strip(), sys.argv[2].encode() * 10_000, if_absent=True)
        print("won", flush=True)
    except AlreadyExists:
        print("lost", flush=True)
"""

COUNTER = """
import sys
from pathlib import Path
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.store import read_bytes
from tasks.errors import Conflict
store = DirectoryStore(Path(sys.argv[1]))
done = 0
while done < 20:
    head = store.head("counter")
    number = int(read_bytes(store, "counter"))
    try:
        store.put("counter", str(number + 1).encode(), if_match=head.version)
        done += 1
    except Conflict:
        pass
"""


def ended(process):
    process.communicate()
    return process.returncode


def test_one_of_eight_processes_wins_the_race_to_create(store):
    racers = {letter: started(RACER, store, letter) for letter in "abcdefgh"}
    assert {racer.stdout.readline() for racer in racers.values()} == {"ready\n"}
    for turn in range(20):
        for racer in racers.values():
            racer.stdin.write(f"race/{turn}\n")
            racer.stdin.flush()
        outcomes = {letter: racer.stdout.readline().strip() for letter, racer in racers.items()}
        (winner,) = [letter for letter, outcome in outcomes.items() if outcome == "won"]
        assert sorted(outcomes.values()) == ["lost"] * 7 + ["won"]
        assert read_bytes(store, f"race/{turn}") == winner.encode() * 10_000
    assert {ended(racer) for racer in racers.values()} == {0}


def test_no_increment_is_lost_when_four_processes_swap(store):
    store.put("counter", b"0")
    assert {ended(counter) for counter in [started(COUNTER, store) for _ in range(4)]} == {0}
    assert read_bytes(store, "counter") == b"80"
