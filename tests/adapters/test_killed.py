"""Writers killed with SIGKILL at random instants, thirty times each: nothing half visible, nothing lost, nothing twice.

One driver process imports what is written with and forks a writer per kill, so a kill costs milliseconds.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.adapters import ledger, partitions
from tasks.adapters.blobs import read_blob
from tasks.adapters.bundles import open_bundle
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.leftovers import sweep
from tasks.adapters.projections import reconcile, serving
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.adapters.store import read_bytes

ROOT = Path(__file__).parents[2]

DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
from tasks.adapters import ledger
from tasks.adapters.bundles import publish
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.memo import remember
from tasks.adapters.projections import reconcile
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.manifest import About
from tasks.core.values import Entry
home = Path(sys.argv[1])
chance = random.Random(7)

def signer_of(store):
    return service_signer(store.root.parent / "keys")


def opened():
    return DirectoryStore(home / "store")

{writer}

for turn in range(30):
    heard, told = os.pipe()
    child = os.fork()
    if not child:
        for _ in write(turn):
            os.write(told, b".")
        os._exit(1)
    if turn % 2:
        os.read(heard, 1)  # every other writer has finished at least one write
    time.sleep(chance.uniform(0.0, {longest_seconds}))
    os.kill(child, signal.SIGKILL)
    os.close(heard), os.close(told)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the writer ended by itself"
"""


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def killed(tmp_path):
    def drive(writer, longest_seconds):
        script = DRIVER.replace("{writer}", writer).replace("{longest_seconds}", str(longest_seconds))
        subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True)

    return drive


PUTS = """
def write(turn):
    store = opened()
    for number in range(10**9):
        letter = b"ab"[number % 2 : number % 2 + 1]
        store.put("replaced", letter * 200_000)
        store.put(f"created/{turn}-{number}", letter * 200_000, if_absent=True)
        yield
"""


def test_a_writer_killed_anywhere_leaves_nothing_half_visible(store, killed):
    killed(PUTS, 0.05)
    keys = list(store.list(""))
    assert keys
    for key in keys:
        content = read_bytes(store, key)
        assert len(content) == 200_000
        assert len(set(content)) == 1
    store.put("replaced", b"the next writer is not hindered")


PUBLISHES = """
def write(turn):
    store, signer = opened(), service_signer(home / "keys")
    for number in range(10**9):
        parts = {f"{part}.txt": b"%d %d %d" % (turn % 2, part, number) * 5000 for part in range(6)}
        publish(store, signer, "channels", parts, About(()))
        yield
"""


def test_a_publisher_killed_anywhere_leaves_whole_bundles_only(store, killed, tmp_path):
    killed(PUBLISHES, 0.1)
    keys = list(store.list("bundles/channels/"))
    assert keys
    trust = trusted_keys(tmp_path / "keys")
    for key in keys:
        assert len(open_bundle(store, trust, "channels", Path(key).stem).manifest.files) == 6


DAYS = """
from tasks.adapters import partitions
from tasks.adapters.blobs import put_blob, read_blob
from tasks.core.partitions import Partition, Table

def write(turn):
    source, store, signer = DirectoryStore(home / "source"), opened(), service_signer(home / "keys")
    named = ("predictions", "shops", "2026-11-21", "prod")
    day = partitions.read(store, signer.trust(), *named)
    # What the one before was killed at: a reader has one day whole.
    assert day is None or {read_blob(store, part)[:9] for part in day.tables["scored"].parts} == {day.run.encode()}
    for number in range(10**9):
        run = f"{turn:02} {number:06}"
        parts = tuple(put_blob(source, run.encode() + b"%d" % part * 50_000) for part in range(4))
        replaces = partitions.standing(store, *named)
        day = Partition(*named, run, {"scored": Table(parts, 4)}, {})
        assert partitions.publish(store, signer, day, source=source, replaces=replaces)
        yield
"""


def test_a_day_whose_publisher_is_killed_anywhere_is_the_old_one_or_the_new_one_whole(store, killed, tmp_path):
    killed(DAYS, 0.05)
    day = partitions.read(store, trusted_keys(tmp_path / "keys"), "predictions", "shops", "2026-11-21", "prod")
    parts = [read_blob(store, part) for part in day.tables["scored"].parts]
    assert parts == [day.run.encode() + b"%d" % part * 50_000 for part in range(4)]


PROMOTIONS = """
def write(turn):
    keys = home / "keys"
    store, signer, trust = opened(), service_signer(keys), trusted_keys(keys)
    # A rerun begins with the run that may have been under way when the one before was killed.
    for number in range(max(0, ledger.length(store, "channels") - 1), 10**9):
        key = f"run {number}"
        draft = Entry("channels", 0, "promotion", "dev", key, key, (), "e", "p", "policy", "r", "now", "", key)
        ledger.append(store, signer, draft, ledger.number_of(ledger.champion(store, "channels", "dev")))
        reconcile(store, trust, None, "channels", "dev")
        yield
"""


def test_a_promotion_killed_anywhere_is_there_once_after_the_rerun(store, killed, tmp_path):
    killed(PROMOTIONS, 0.05)
    trust = trusted_keys(tmp_path / "keys")
    entries = ledger.read(store, "channels", trust)
    assert entries
    assert [entry.run_key for entry in entries] == [f"run {number}" for number in range(len(entries))]
    assert ledger.verify(store, trust, "channels") is None
    reconcile(store, trust, None, "channels", "dev")
    assert serving(store, trust, "channels", "dev") == entries[-1]


STAGES = """
from tasks.adapters.provenance import code_digest
code_digest()

def write(turn):
    store = opened()
    for number in range(10**9):
        kept = remember(store, signer_of(store), "channels", "square", {"number": number}, int, lambda: number * number)
        assert kept.value == number * number
        yield
"""


def test_a_stage_killed_anywhere_is_remembered_whole_or_not_at_all(store, killed):
    killed(STAGES, 0.02)
    keys = list(store.list("stages/"))
    assert keys
    assert all(read_bytes(store, key).endswith(b"}") for key in keys)


KEYS = """
def write(turn):
    for number in range(10**9):
        service_signer(home / "keys" / f"{turn}-{number}")
        yield
"""


def test_a_key_whose_making_was_killed_is_made_by_the_next_and_nothing_is_left_beside_it(killed, tmp_path):
    killed(KEYS, 0.01)
    folders = list((tmp_path / "keys").iterdir())
    assert folders
    for folder in folders:
        assert service_signer(folder).fingerprint == service_signer(folder).fingerprint
        sweep(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["service.key", "service.pub"]


SCRATCH = """
from tasks.adapters.leftovers import own_folder
def write(turn):
    for number in range(10**9):
        with own_folder(home / "tmp", "channels-run-") as folder:
            (folder / "part").write_bytes(b"half")
            yield
"""


def test_of_thirty_killed_runs_no_scratch_is_left(killed, tmp_path):
    killed(SCRATCH, 0.01)
    assert len(list((tmp_path / "tmp").iterdir())) <= 1, "each had swept what the one before it left"
    sweep(tmp_path / "tmp", "channels-")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_half_a_key_is_nobodys_key(tmp_path):
    (tmp_path / "keys" / ".new-0123").mkdir(parents=True)
    (tmp_path / "keys" / ".new-0123" / "service.key").write_bytes(b"half a key")
    assert service_signer(tmp_path / "keys").fingerprint == service_signer(tmp_path / "keys").fingerprint
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["service.key", "service.pub"]
