import hashlib
import threading

import pytest

from tasks.adapters.blobs import blob_key, blob_path, describe_blob, has_blob, put_blob, put_blobs, read_blob
from tasks.adapters.directory import DirectoryStore
from tasks.core.values import Blob
from tasks.errors import BadRequest, HomeDamaged

HELLO = Blob("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", 5)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


def lie(store, blob):
    return store.local_path(blob_key(blob.digest))


def test_bytes_are_named_by_their_sha256(store):
    assert put_blob(store, b"hello") == HELLO
    assert list(store.list("")) == [f"blobs/sha256/2c/{HELLO.digest}"]
    assert read_blob(store, HELLO) == b"hello"
    assert blob_path(store, HELLO).read_bytes() == b"hello"


def test_a_file_and_its_bytes_are_the_same_blob(store, tmp_path):
    (tmp_path / "file").write_bytes(b"hello")
    assert put_blob(store, tmp_path / "file") == HELLO
    before = lie(store, HELLO).stat()
    assert put_blob(store, b"hello") == HELLO
    assert lie(store, HELLO).stat().st_ino == before.st_ino


def test_no_bytes_are_a_blob_too(store):
    empty = put_blob(store, b"")
    assert empty == Blob(hashlib.sha256(b"").hexdigest(), 0)
    assert read_blob(store, empty) == b""


def test_32_small_ones_are_put_at_a_time_and_8_large_ones(tmp_path):
    together = {"small": threading.Barrier(32, timeout=200), "large": threading.Barrier(8, timeout=200)}
    threads = {"small": set(), "large": set()}

    class Meeting(DirectoryStore):
        """Every put waits for as many more as should go with it."""

        def put(self, key, source, **named):
            kind = "small" if len(source) <= 1 << 18 else "large"
            threads[kind].add(threading.get_ident())
            together[kind].wait()
            return super().put(key, source, **named)

    sources = {str(number): bytes([number]) * (1 << (10 if number % 3 else 19)) for number in range(48)}
    found = put_blobs(Meeting(tmp_path / "store"), sources)
    assert list(found.items()) == [(name, describe_blob(source)) for name, source in sources.items()]
    assert {kind: len(each) for kind, each in threads.items()} == {"small": 32, "large": 8}


@pytest.mark.parametrize("damage", [b"", b"hell", b"jello", b"hello!"])
def test_a_cut_or_flipped_blob_is_refused_on_every_way_of_reading(store, damage):
    put_blob(store, b"hello")
    lie(store, HELLO).write_bytes(damage)
    for read in (read_blob, blob_path):
        with pytest.raises(HomeDamaged, match=f"the blob {HELLO.digest} in file.* is damaged.*delete blobs/sha256/2c"):
            read(store, HELLO)


def test_a_blob_altered_after_it_was_verified_is_refused(store):
    put_blob(store, b"hello")
    assert blob_path(store, HELLO)
    lie(store, HELLO).write_bytes(b"jello")
    with pytest.raises(HomeDamaged, match="with another digest"):
        blob_path(store, HELLO)


def test_a_missing_blob_is_named(store):
    assert not has_blob(store, HELLO)
    with pytest.raises(HomeDamaged, match=f"{HELLO.digest} is gone"):
        read_blob(store, HELLO)
    with pytest.raises(HomeDamaged, match="it is gone"):
        blob_path(store, HELLO)


@pytest.mark.parametrize("damage", [b"hell", b"jello"])
def test_storing_a_damaged_blob_again_mends_it(store, damage):
    put_blob(store, b"hello")
    lie(store, HELLO).write_bytes(damage)
    put_blob(store, b"hello")
    assert read_blob(store, HELLO) == b"hello"


def test_a_digest_that_is_none_never_becomes_a_path(store):
    with pytest.raises(BadRequest, match="is no sha256 digest"):
        read_blob(store, Blob("../../etc/passwd", 1))


def test_a_source_that_is_gone_is_named(store, tmp_path):
    with pytest.raises(HomeDamaged, match="cannot be read"):
        put_blob(store, tmp_path / "gone")
