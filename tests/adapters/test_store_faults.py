"""What goes wrong between here and a cloud ends within its budget, in an error that names store, key and what to do."""

import contextlib
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.adapters.clouds.backend import PART_BYTES
from tasks.adapters.store import read_bytes
from tasks.errors import AccessDenied, AlreadyExists, BadRequest, Conflict, HomeDamaged, NoBucket, Unreachable
from tests.command_line import eventually
from tests.emulators import free_port, proxy
from tests.emulators.proxy import DROP_AFTER, DROP_BEFORE, NONE, STALL, Trouble, always, once, some
from tests.stores import PATIENT_SECONDS, at_once, crowding

ROOT = Path(__file__).parents[2]
# Small, since a test waits for it to be spent; and what a machine may need beyond it, for itself.
BUDGET_SECONDS, BUSY_SECONDS = 3, 4
WRITES = ("PUT", "POST")
SMALL = random.Random(1).randbytes(100_000)
VERBS = {
    "put": lambda store, large: store.put("k", b"v"),
    "put if absent": lambda store, large: store.put("k", b"v", if_absent=True),
    "put in parts": lambda store, large: store.put("k", large),
    "open": lambda store, large: store.open("k"),
    "head": lambda store, large: store.head("k"),
    "list": lambda store, large: list(store.list("k")),
    "delete": lambda store, large: store.delete("k"),
}


@pytest.fixture
def way(cloud):
    """A faulty way to the cloud."""
    with proxy.before(cloud.emulator.port) as faulty:
        yield faulty


@pytest.fixture
def store(cloud, way):
    """A store that is reached on that way."""
    return cloud.open(port=way.port)


@pytest.fixture
def hurried(cloud, way):
    """The same store, which may not take long to fail."""
    return cloud.open(port=way.port, seconds=BUDGET_SECONDS)


@pytest.fixture
def sound(cloud):
    """The same store, reached directly."""
    return cloud.open()


@pytest.fixture
def large(tmp_path):
    source = tmp_path / "large"
    source.write_bytes(SMALL * (PART_BYTES // len(SMALL) + 2))
    return source


@contextlib.contextmanager
def within_the_budget(error, *words):
    """The block ends in *error*, whose letter has *words* in it, before anybody stops waiting."""
    started = time.monotonic()
    with pytest.raises(error) as caught:
        yield
    assert time.monotonic() - started < BUDGET_SECONDS + BUSY_SECONDS * crowding()
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)


def every_verb_ends_in(error, store, large, *words):
    def ask(number):
        with within_the_budget(error, store.uri, "k", *words):
            list(VERBS.values())[number](store, large)

    at_once(ask, len(VERBS))


def test_of_a_large_file_no_more_is_waited_for_than_is_read(cloud, way, large):
    store = cloud.open(port=way.port)
    store.put("k", large)
    # The rest never comes.
    way.rule = once(Trouble("stall_response", PART_BYTES // 4), "GET")
    with store.open("k") as stream:
        assert stream.read(10) == SMALL[:10]
    way.rule = always(NONE)
    assert store.head("k") is not None


def test_a_missing_bucket_is_told_apart_from_a_missing_key(cloud, large):
    every_verb_ends_in(NoBucket, cloud.open(bucket="nobody-made-it"), large, "make the bucket, or correct the address")
    assert cloud.open().head("k") is None
    with pytest.raises(HomeDamaged, match="k: the object is not there"):
        cloud.open().open("k")


def test_wrong_credentials_are_refused_and_not_repeated(cloud, large):
    wrong = cloud.emulator.wrong_credentials
    cloud.see(wrong)
    every_verb_ends_in(AccessDenied, cloud.open(), large, "check the credentials")
    with pytest.raises(AccessDenied) as caught:
        cloud.open().head("k")
    assert not [secret for secret in wrong.values() if secret in str(caught.value)]


def test_a_refused_connection_is_unreachable(cloud, large):
    every_verb_ends_in(Unreachable, cloud.open(port=free_port(), seconds=BUDGET_SECONDS), large, "check the network")


def test_a_stalled_server_is_unreachable(hurried, way, large):
    way.rule = always(STALL)
    every_verb_ends_in(Unreachable, hurried, large, "check the network")


def test_a_server_that_says_503_for_ever_is_unreachable(hurried, way, large):
    way.rule = always(Trouble("status", 503))
    every_verb_ends_in(Unreachable, hurried, large, "check the network")


@pytest.mark.parametrize("trouble", [Trouble("status", 503), Trouble("status", 429), DROP_BEFORE, DROP_AFTER])
def test_what_passes_is_waited_out(store, way, monkeypatch, trouble):
    monkeypatch.setattr("tasks.adapters.clouds.store.FIRST_PAUSE_SECONDS", 0.01)
    way.rule = some(range(2), trouble)
    store.put("k", SMALL)
    way.rule = some(range(2), trouble)
    assert read_bytes(store, "k") == SMALL
    way.rule = some(range(2), trouble)
    assert list(store.list("")) == ["k"]
    way.rule = some(range(2), trouble)
    store.delete("k")
    way.rule = some(range(2), trouble)
    assert store.head("k") is None


def test_a_lost_reply_in_the_middle_of_a_large_upload_is_waited_out(store, sound, way, large):
    way.rule = some(range(2, 3), DROP_AFTER, *WRITES)
    store.put("k", large)
    with sound.open("k") as stream:
        assert stream.read() == large.read_bytes()


def test_a_create_whose_reply_is_lost_succeeds_exactly_once(store, sound, way):
    way.rule = once(DROP_AFTER, *WRITES)
    head = store.put("k", b"mine", if_absent=True)
    assert head == sound.head("k")
    with pytest.raises(AlreadyExists, match="k is already in"):
        store.put("k", b"mine", if_absent=True)


def test_a_swap_whose_reply_is_lost_succeeds_exactly_once(store, sound, way):
    first = store.put("k", b"1")
    way.rule = once(DROP_AFTER, *WRITES)
    second = store.put("k", b"2", if_match=first.version)
    assert second == sound.head("k") != first
    with pytest.raises(Conflict, match="somebody else wrote it meanwhile"):
        store.put("k", b"2", if_match=first.version)


def test_one_of_eight_wins_though_every_first_reply_is_lost(store, way):
    way.rule = some(range(8), DROP_AFTER, *WRITES)

    def create(who):
        try:
            return bool(store.put("k", str(who).encode(), if_absent=True))
        except AlreadyExists:
            return False

    outcomes = at_once(create)
    assert sum(outcomes) == 1
    assert read_bytes(store, "k") == str(outcomes.index(True)).encode()


def test_no_increment_is_lost_or_doubled_though_replies_are(store, way):
    store.put("counter", b"0")
    numbers = iter(range(1000))
    way.rule = lambda method, path: DROP_AFTER if method in WRITES and next(numbers) % 3 == 0 else NONE

    def increment(who):
        head, number = store.head("counter"), int(read_bytes(store, "counter"))
        try:
            store.put("counter", str(number + 1).encode(), if_match=head.version)
        except Conflict:
            increment(who)

    at_once(increment, 4)
    assert read_bytes(store, "counter") == b"4"


def test_a_body_that_is_cut_goes_on_where_it_ended(store, sound, way, large):
    sound.put("small", SMALL)
    sound.put("large", large)
    way.rule = always(Trouble("cut_response", 40_000), "GET")
    assert read_bytes(store, "small") == SMALL
    way.rule = some(range(3), Trouble("cut_response", PART_BYTES // 2), "GET")
    with store.open("large") as stream:
        assert stream.read() == large.read_bytes()


def test_a_body_that_never_comes_is_unreachable(hurried, sound, way):
    sound.put("k", SMALL)
    way.rule = always(Trouble("cut_response", 0), "GET")
    with within_the_budget(Unreachable, hurried.uri, "k", "check the network"):
        read_bytes(hurried, "k")


def test_a_body_that_stalls_in_the_middle_is_unreachable(hurried, sound, way, large):
    sound.put("k", large)
    answers = itertools.chain([Trouble("stall_response", PART_BYTES)], itertools.repeat(STALL))
    way.rule = lambda method, path: next(answers)
    with hurried.open("k") as stream:
        assert stream.read(10) == SMALL[:10]
        with within_the_budget(Unreachable, hurried.uri, "k", "check the network"):
            stream.read()


def test_a_byte_flipped_on_the_way_up_is_refused_and_nothing_is_visible(store, sound, way, large):
    way.rule = always(Trouble("corrupt_request", 60_000), *WRITES)
    for source, condition in ((SMALL, {}), (SMALL, {"if_absent": True}), (large, {})):
        with within_the_budget(HomeDamaged, store.uri, "k", "altered on their way and nothing was stored"):
            store.put("k", source, **condition)
        assert sound.head("k") is None


def test_a_byte_flipped_on_the_way_up_leaves_what_was_there(store, sound, way):
    head = sound.put("k", b"before")
    way.rule = always(Trouble("corrupt_request", 60_000), *WRITES)
    with within_the_budget(HomeDamaged, store.uri, "k", "nothing was stored"):
        store.put("k", SMALL)
    assert sound.head("k") == head


def test_a_byte_flipped_on_the_way_down_is_asked_for_again(store, sound, way):
    sound.put("k", SMALL)
    way.rule = once(Trouble("corrupt_response", 60_000), "GET")
    assert read_bytes(store, "k") == SMALL
    assert [method for method, _ in way.seen].count("GET") == 2


def test_bytes_that_stay_wrong_are_refused(store, sound, way, large):
    sound.put("small", SMALL)
    sound.put("large", large)
    way.rule = always(Trouble("corrupt_response", 60_000), "GET")
    with within_the_budget(HomeDamaged, store.uri, "small", "altered", "greenlight stores repair"):
        store.open("small")
    with store.open("large") as stream, within_the_budget(HomeDamaged, store.uri, "large", "altered"):
        stream.read()


@pytest.mark.parametrize("key", ["a\nb", "a\rb", "\t", "a\x7f"])
def test_a_key_that_not_every_cloud_takes_is_refused(cloud, key):
    with pytest.raises(BadRequest, match="cannot name an object: not every cloud takes what cannot be printed"):
        cloud.open().put(key, b"")


def test_a_large_body_takes_no_condition(cloud, large):
    with pytest.raises(BadRequest, match=f"at most {PART_BYTES} can be written under a condition"):
        cloud.open().put("k", large, if_absent=True)


UPLOAD = """
import sys
from pathlib import Path
from tasks.adapters.store import open_store
open_store(sys.argv[1]).put("killed", Path(sys.argv[2]))
"""


def test_an_upload_killed_in_the_middle_leaves_nothing_visible(store, sound, way, large):
    way.rule = some(range(2, 100), STALL, *WRITES)
    upload = subprocess.Popen([sys.executable, "-c", UPLOAD, store.uri, str(large)], cwd=ROOT)
    eventually(lambda: sum(method in WRITES for method, _ in way.seen) > 2, seconds=PATIENT_SECONDS)
    upload.kill()
    assert upload.wait() == -signal.SIGKILL
    assert sound.head("killed") is None
    assert list(sound.list("")) == []
    assert sound.put("killed", large) == sound.head("killed")
