"""One contract, five stores: whatever holds of the directory holds of each cloud, and the other way round."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from tasks.adapters.clouds.backend import PART_BYTES
from tasks.adapters.store import read_bytes
from tasks.errors import AlreadyExists, BadRequest, Conflict, HomeDamaged
from tests.stores import RACERS, Place, at_once

ODD_NAMES = [
    "ä ö/ü",
    "a%20b",
    "a%2Fb",
    "a+b&c=d",
    "a\\b",
    "~",
    "-rf",
    "con",
    "a b.tmp",
    "x" * 255,
    ".hidden",
    "*?",
    "#1",
    "<&>\"'",
    "日本/😀",
]
ODD_BYTES = [b"", b"\n", b"\r\n", b"a\r\n", b"a\n", b"\r", b"\r\n--==0==--x", b"a\rb\nc\r\nd", b"--==0==", b"\0" * 100]


@pytest.fixture
def store(place):
    return place.open()


@pytest.fixture
def large(tmp_path):
    """A file that is sent in two parts, the last of them short."""
    source = tmp_path / "large"
    source.write_bytes(random.Random(1).randbytes(PART_BYTES) + b"a\r\n")
    return source


def test_bytes_and_files_come_back_as_they_were_put(store, tmp_path):
    (tmp_path / "source").write_bytes(b"a\r\n" * 700_000)
    assert store.put("a/b", b"").size == 0
    head = store.put("c", tmp_path / "source", sha256=hashlib.sha256(b"a\r\n" * 700_000).hexdigest())
    assert head == store.head("c")
    assert head.size == 2_100_000
    assert read_bytes(store, "a/b") == b""
    assert read_bytes(store, "c") == b"a\r\n" * 700_000


def test_a_large_file_comes_back_whole_piece_by_piece(store, large):
    head = store.put("large", large)
    assert head == store.head("large")
    assert head.size == PART_BYTES + 3
    with store.open("large") as stream:
        found = hashlib.sha256()
        for piece in iter(lambda: stream.read(100_000), b""):
            assert len(piece) <= 100_000
            found.update(piece)
    assert found.digest() == hashlib.sha256(large.read_bytes()).digest()


def test_a_large_file_need_not_be_read_to_its_end(store, large):
    store.put("large", large)
    with store.open("large") as stream:
        assert stream.read(10) == large.read_bytes()[:10]
    assert store.head("large") is not None


def test_the_address_of_a_store_opens_the_same_store(place, store):
    store.put("k", b"v")
    assert place.open().uri == store.uri
    assert read_bytes(place.open(), "k") == b"v"


def test_create_if_absent_keeps_what_is_there(store):
    store.put("k", b"first", if_absent=True)
    with pytest.raises(AlreadyExists, match=r"k is already in .*; nothing was written"):
        store.put("k", b"second", if_absent=True)
    assert read_bytes(store, "k") == b"first"


def test_a_version_changes_with_the_bytes_and_swaps_once(store):
    first = store.put("k", b"1")
    second = store.put("k", b"2", if_match=first.version)
    assert store.head("k") == second != first
    with pytest.raises(Conflict, match=r"k in .*: somebody else wrote it meanwhile"):
        store.put("k", b"3", if_match=first.version)
    assert read_bytes(store, "k") == b"2"


def test_swapping_what_is_not_there_is_a_conflict(store):
    gone = store.put("k", b"1")
    store.delete("k")
    with pytest.raises(Conflict, match=r"k in .*: somebody else wrote it meanwhile"):
        store.put("k", b"3", if_match=gone.version)
    assert store.head("k") is None


def test_one_of_eight_racers_wins_the_race_to_create(place):
    stores = [place.open() for _ in range(RACERS)]

    def race(key):
        def create(who):
            try:
                return bool(stores[who].put(key, str(who).encode() * 1000, if_absent=True))
            except AlreadyExists:
                return False

        return at_once(create)

    for turn in range(5):
        outcomes = race(f"race/{turn}")
        assert sum(outcomes) == 1
        assert read_bytes(stores[0], f"race/{turn}") == str(outcomes.index(True)).encode() * 1000


def test_no_increment_is_lost_when_eight_swap(place):
    stores = [place.open() for _ in range(RACERS)]
    stores[0].put("counter", b"0")

    def increment(who):
        head = stores[who].head("counter")
        number = int(read_bytes(stores[who], "counter"))
        try:
            return stores[who].put("counter", str(number + 1).encode(), if_match=head.version)
        except Conflict:
            return increment(who)

    at_once(lambda who: [increment(who) for _ in range(2)])
    assert read_bytes(stores[0], "counter") == b"16"


def test_bytes_with_another_digest_than_promised_are_not_stored(store):
    with pytest.raises(HomeDamaged, match="nothing was stored"):
        store.put("k", b"flipped", sha256="0" * 64)
    assert store.head("k") is None


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", ".", "..", ".tmp/x", ".lock", "a\0b", "x" * 300],
)
def test_a_key_that_leaves_the_store_is_refused(store, key):
    for verb in (store.open, store.head, store.delete, lambda key: store.put(key, b"")):
        with pytest.raises(BadRequest, match="cannot name an object"):
            verb(key)


def test_odd_names_are_names(store):
    for name in ODD_NAMES:
        store.put(f"odd/{name}", name.encode(), if_absent=True)
    assert list(store.list("odd/")) == sorted(f"odd/{name}" for name in ODD_NAMES)
    for name in ODD_NAMES:
        assert read_bytes(store, f"odd/{name}") == name.encode()
        assert list(store.list(f"odd/{name}")) == [f"odd/{name}"]
        store.delete(f"odd/{name}")
    assert list(store.list("")) == []


@pytest.mark.parametrize("data", ODD_BYTES)
def test_odd_bytes_come_back_unchanged(store, tmp_path, data):
    (tmp_path / "source").write_bytes(data)
    store.put("bytes", data, if_absent=True)
    store.put("file", tmp_path / "source")
    assert read_bytes(store, "bytes") == read_bytes(store, "file") == data


@tried(max_examples=25)
@given(data=st.binary(max_size=300) | st.text(alphabet="\r\n-=0a\0", max_size=300).map(str.encode))
def test_any_bytes_come_back_unchanged(store, data):
    assert store.put("k", data).size == len(data)
    assert read_bytes(store, "k") == data


def test_listing_is_sorted_by_key_and_shows_only_what_starts_with_the_prefix(store):
    keys = ["a-b", "a/b", "a/c/d", "a/c.x", "ab", "b"]
    for key in reversed(keys):
        store.put(key, b"")
    assert list(store.list("")) == sorted(keys)
    assert list(store.list("a/c")) == ["a/c.x", "a/c/d"]
    assert list(store.list("a/")) == ["a/b", "a/c.x", "a/c/d"]
    assert list(store.list("nothing/here")) == []


def test_a_listing_of_several_pages_is_whole(place):
    if isinstance(place, Place):
        place.page(3)
    store = place.open()
    for number in range(10):
        store.put(f"many/{number}", b"")
    assert list(store.list("many/")) == [f"many/{number}" for number in range(10)]


def test_a_missing_object_is_named(store):
    assert store.head("a/b") is None
    with pytest.raises(HomeDamaged, match="a/b"):
        store.open("a/b")


def test_deleting_twice_is_no_error(store):
    store.put("k", b"")
    store.delete("k")
    store.delete("k")
    assert store.head("k") is None


def test_a_source_that_is_gone_is_named(store, tmp_path):
    with pytest.raises(HomeDamaged, match=r"gone\.parquet was to be stored but cannot be read"):
        store.put("k", tmp_path / "gone.parquet")
    assert store.head("k") is None


@pytest.mark.parametrize("size", [10, PART_BYTES + 10])
def test_an_object_is_read_from_any_byte_on(store, size):
    content = bytes(range(250)) * (size // 250) + bytes(size % 250)
    store.put("k", content)
    for start in (0, 1, size // 2, size - 1):
        with store.open("k", start) as stream:
            assert stream.read() == content[start:], start
