"""Blobs of a store elsewhere are fetched once, verified, resumed, bounded, and never taken from under a reader."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.adapters.blobs import blob_key, blob_path, describe_blob, put_blob, read_blob
from tasks.adapters.cache import BlobCache
from tasks.adapters.cached import CachedStore, at_its_origin, near
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.store import KeepsCopies, address, local_file, located
from tasks.core.values import Blob
from tasks.errors import BadRequest, HomeDamaged, OutOfSpace
from tests.elsewhere import ElsewhereStore

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20


@pytest.fixture
def origin(tmp_path):
    return ElsewhereStore(tmp_path / "far")


@pytest.fixture
def store(origin, tmp_path):
    return CachedStore(origin, tmp_path / "cache", 100 * MEGABYTE)


def stored(origin, content):
    return put_blob(origin, content)


def let_go(cache):
    """Do what the system does when a process ends."""
    for descriptor in cache._held.values():
        os.close(descriptor)


def files(folder):
    return {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def test_a_blob_is_fetched_once_and_then_read_from_here(store, origin):
    blob = stored(origin, b"hello")
    origin.counts.clear()
    paths = {blob_path(store, blob) for _ in range(3)}
    assert [path.read_bytes() for path in paths] == [b"hello"]
    assert read_blob(store, blob) == b"hello"
    assert origin.counts == {"open": 1, "bytes read": 5}


def test_what_another_process_fetched_is_verified_and_not_fetched_anew(store, origin, tmp_path):
    blob = stored(origin, b"hello")
    blob_path(store, blob)
    origin.counts.clear()
    assert blob_path(CachedStore(origin, tmp_path / "cache", MEGABYTE), blob).read_bytes() == b"hello"
    assert origin.counts["open"] == 0


def test_a_file_that_is_stored_is_kept_here_too(store, origin, tmp_path):
    (tmp_path / "rows").write_bytes(b"rows")
    blob = put_blob(store, tmp_path / "rows")
    (tmp_path / "rows").unlink()
    assert blob_path(store, blob).read_bytes() == b"rows"
    assert origin.counts["open"] == 0


@pytest.mark.parametrize("bad", [b"hullo", b"hell", b"hello!", b""])
def test_a_copy_that_was_altered_here_is_fetched_anew(store, origin, bad, tmp_path):
    blob = stored(origin, b"hello")
    path = blob_path(store, blob)
    path.write_bytes(bad)
    assert blob_path(store, blob).read_bytes() == b"hello"
    assert files(tmp_path / "cache") == {blob.digest: 5}


@pytest.mark.parametrize("bad", [b"hullo", b"hell", b"hello there", b""])
def test_bytes_that_are_not_those_of_the_digest_are_never_handed_out(store, origin, bad, tmp_path):
    blob = stored(origin, b"hello")
    origin.behind.put(blob_key(blob.digest), bad)
    with pytest.raises(HomeDamaged, match="5 with that digest are wanted"):
        blob_path(store, blob)
    assert set(files(tmp_path / "cache").values()) == {0}
    origin.behind.put(blob_key(blob.digest), b"hello")
    assert blob_path(store, blob).read_bytes() == b"hello"


def test_a_blob_that_is_gone_is_named(store):
    with pytest.raises(HomeDamaged, match=r"blobs/sha256/aa/a{64} is gone"):
        blob_path(store, Blob("a" * 64, 1))


def test_an_empty_blob_needs_no_download(store, origin):
    blob = stored(origin, b"")
    origin.counts.clear()
    assert blob_path(store, blob).read_bytes() == b""
    assert origin.counts["open"] == 0


class Dies(Exception):
    pass


class CutShort(io.RawIOBase):
    """A stream that breaks after so many bytes."""

    def __init__(self, stream, left):
        self.stream, self.left = stream, left

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.left:
            raise Dies
        data = self.stream.read(min(self.left, len(buffer)))
        self.left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def test_an_interrupted_download_goes_on_where_it_ended(origin, tmp_path):
    content = os.urandom(3 * MEGABYTE)
    blob, cache = stored(origin, content), BlobCache(tmp_path / "cache", 100 * MEGABYTE)
    key = blob_key(blob.digest)
    with pytest.raises(Dies):
        cache.path(blob, lambda start: CutShort(origin.open(key, start), 2 * MEGABYTE))
    origin.counts.clear()
    assert cache.path(blob, lambda start: origin.open(key, start)).read_bytes() == content
    assert origin.counts["bytes read"] == MEGABYTE


def test_what_was_left_of_a_download_and_is_wrong_is_fetched_anew(store, origin, tmp_path):
    content = os.urandom(100_000)
    blob = stored(origin, content)
    part = tmp_path / "cache" / "parts" / blob.digest / "part"
    for left in (b"x" * 50_000, b"x" * 100_000, b"x" * 200_000, content):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(left)
        path = blob_path(store, blob)
        assert path.read_bytes() == content
        path.unlink()


DOWNLOAD = """
import sys, time
from pathlib import Path
from tasks.adapters.blobs import blob_path
from tasks.adapters.cached import CachedStore
from tasks.core.values import Blob
from tests.elsewhere import ElsewhereStore
origin = ElsewhereStore(Path(sys.argv[1]), float(sys.argv[6]))
path = blob_path(CachedStore(origin, Path(sys.argv[2]), int(sys.argv[5])), Blob(sys.argv[3], int(sys.argv[4])))
print(path, origin.counts["bytes read"], flush=True)
"""


def download(origin, folder, blob, limit=100 * MEGABYTE, more="", deadly_bytes="inf"):
    asked = [str(each) for each in (origin.behind.root, folder, blob.digest, blob.size, limit, deadly_bytes)]
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD + more, *asked], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )


def test_a_killed_download_goes_on_and_fetches_only_the_rest(origin, tmp_path):
    content = os.urandom(64 * MEGABYTE)
    blob = stored(origin, content)
    part = tmp_path / "cache" / "parts" / blob.digest / "part"
    with download(origin, tmp_path / "cache", blob, deadly_bytes=24 * MEGABYTE) as child:
        assert child.wait() == -signal.SIGKILL
    begun = part.stat().st_size
    assert 8 * MEGABYTE < begun < blob.size
    with download(origin, tmp_path / "cache", blob) as child:
        path, read = child.communicate()[0].split()
    assert int(read) == blob.size - begun
    assert describe_blob(Path(path)) == blob


def test_two_processes_at_once_fetch_it_once(origin, tmp_path):
    blob = stored(origin, os.urandom(16 * MEGABYTE))
    children = [download(origin, tmp_path / "cache", blob) for _ in range(3)]
    told = [child.communicate()[0].split() for child in children]
    assert sorted(int(read) for _, read in told) == [0, 0, blob.size]
    assert len({path for path, _ in told}) == 1


def test_what_was_used_longest_ago_makes_room(origin, tmp_path):
    cache = BlobCache(tmp_path / "cache", 250_000)
    blobs = [stored(origin, bytes([number]) * 100_000) for number in range(4)]
    for at, blob in enumerate(blobs[:2]):
        before = BlobCache(cache.folder, 250_000)
        path = before.path(blob, lambda start, b=blob: origin.open(blob_key(b.digest), start))
        let_go(before)
        os.utime(path, (at, at))
    # The older of the two is used again, so the other one goes.
    cache.path(blobs[0], lambda start: origin.open(blob_key(blobs[0].digest), start))
    cache.path(blobs[2], lambda start: origin.open(blob_key(blobs[2].digest), start))
    assert set(files(cache.folder)) == {blobs[0].digest, blobs[2].digest}


def test_what_was_handed_out_stays_though_there_is_no_room(store, origin, tmp_path):
    cache = CachedStore(origin, tmp_path / "small", 150_000)
    blobs = [stored(origin, bytes([number]) * 100_000) for number in range(3)]
    paths = [blob_path(cache, blob) for blob in blobs]
    assert [describe_blob(path) for path in paths] == blobs


def test_another_process_holds_what_it_was_handed_until_it_ends(origin, tmp_path):
    held, new = stored(origin, b"a" * 100_000), stored(origin, b"b" * 100_000)
    cache = CachedStore(origin, tmp_path / "cache", 150_000)
    with download(origin, tmp_path / "cache", held, 150_000, "time.sleep(600)\n") as child:
        path = Path(child.stdout.readline().split()[0])
        blob_path(cache, new)
        assert path.read_bytes() == b"a" * 100_000
        child.kill()
        child.wait()
    blob_path(cache, stored(origin, b"c" * 100_000))
    assert not path.exists()


def churn(root, folder, rounds, seed):
    origin = ElsewhereStore(root)
    # Only what is handed out from here on is held: each round stands for a process of its own.
    for number in range(rounds):
        content = bytes([(number * seed) % 5]) * 50_000
        cache = CachedStore(origin, folder, 120_000)
        assert blob_path(cache, describe_blob(content)).read_bytes() == content
        let_go(cache._cache)


def test_readers_that_evict_each_others_blobs_never_see_one_go(origin, tmp_path):
    for number in range(5):
        stored(origin, bytes([number]) * 50_000)
    spawn = multiprocessing.get_context("fork")
    children = [spawn.Process(target=churn, args=(origin.behind.root, tmp_path / "cache", 150, s)) for s in (1, 2, 3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]


def test_threads_share_what_was_fetched(store, origin):
    blob = stored(origin, os.urandom(MEGABYTE))
    origin.counts.clear()
    found = []
    threads = [threading.Thread(target=lambda: found.append(blob_path(store, blob))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1
    assert origin.counts["open"] == 1


def test_a_cache_that_was_deleted_is_made_again(store, origin, tmp_path):
    blob = stored(origin, b"hello")
    blob_path(store, blob).unlink()
    assert blob_path(store, blob).read_bytes() == b"hello"


def test_a_folder_that_cannot_be_written_is_named(origin, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutOfSpace, match="could not be kept on this machine: Not a directory"):
        blob_path(CachedStore(origin, tmp_path / "cache", MEGABYTE), stored(origin, b"hello"))


def test_a_page_is_copied_as_it_is_now(store, origin, tmp_path):
    for content in (b"<p>one", b"<p>two"):
        store.put("reports/shops/v1.html", content)
        assert local_file(store, "reports/shops/v1.html").read_bytes() == content
    assert files(tmp_path / "cache") == {"v1.html": 6}


def test_every_verb_reaches_the_store(store, origin):
    head = store.put("a/b", b"one", if_absent=True)
    assert store.head("a/b") == head == origin.behind.head("a/b")
    assert store.open("a/b").read() == b"one" and store.open("a/b", 1).read() == b"ne"
    assert list(store.list("a/")) == ["a/b"]
    store.delete("a/b")
    assert origin.behind.head("a/b") is None
    assert at_its_origin(store) is origin


def test_a_directory_needs_no_copies(tmp_path):
    directory = DirectoryStore(tmp_path)
    assert near(directory, tmp_path) is directory is at_its_origin(directory)
    assert local_file(directory, "a/b") == tmp_path / "a/b"
    assert address(directory, "a/b") == str(tmp_path / "a/b")


def test_a_store_elsewhere_is_near_once_it_keeps_copies(origin, tmp_path):
    assert isinstance(near(origin, tmp_path), KeepsCopies)
    for asked in (lambda: local_file(origin, "a"), lambda: blob_path(origin, Blob("a" * 64, 1))):
        with pytest.raises(BadRequest, match="nothing is kept on this machine"):
            asked()


def test_an_address_has_its_options_at_the_end(origin):
    assert address(origin, "a/b") == located(origin, "a/b") == "elsewhere://bucket/prefix/a/b?option=1"
