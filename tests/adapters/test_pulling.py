"""A reader's folder holds one verified version or the other: resumed after a kill, replaced in one step."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.adapters import bundles, ledger
from tasks.adapters.blobs import blob_key, put_blob
from tasks.adapters.bundles import bundle_key
from tasks.adapters.pulling import pull
from tasks.adapters.signing import service_signer
from tasks.core.manifest import About
from tasks.errors import BadRequest, HomeDamaged, NotTrusted
from tests.elsewhere import ElsewhereStore
from tests.released import Released

ROOT = Path(__file__).parents[2]
MEGABYTE = 1 << 20


class Shop(Released):
    """Bundles in a store elsewhere, with files of their own."""

    def __init__(self, home):
        super().__init__(home)
        self.store = ElsewhereStore(home / "far")
        self.files = {}

    def publish(self, name):
        files = {"model.txt": name.encode(), "models/sales/a.ubj": name.encode() * 3, **self.files}
        return bundles.publish(self.store, self.signer, self.workload, files, About(("sales",)))


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "home")


@pytest.fixture
def to(tmp_path):
    return tmp_path / "readers" / "shops"


def pulled(shop, to, version=None, ring="prod"):
    return pull(shop.store, shop.trust, "shops", ring, to, version)


def held(to):
    return {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()}


def left(to):
    return sorted(path.name for path in (to.parent / f".{to.name}.versions").iterdir())


def test_a_folder_holds_what_serves_with_its_signed_manifest(shop, to):
    version = shop.promote("one")
    done = pulled(shop, to)
    assert (done.version, done.files, done.size_bytes, done.fetched_bytes, done.changed) == (version, 2, 12, 12, True)
    manifest = shop.store.behind.local_path(bundle_key("shops", version)).read_bytes()
    assert held(to) == {"model.txt": b"one", "models/sales/a.ubj": b"oneoneone", "manifest.json": manifest}
    assert left(to) == [f"shops-{version}"]


def test_pulling_again_changes_nothing_and_fetches_no_blob(shop, to):
    shop.promote("one")
    pulled(shop, to)
    shop.store.counts.clear()
    done = pulled(shop, to)
    assert (done.fetched_bytes, done.changed) == (0, False)
    assert shop.store.counts["open"] == 1


def test_a_newer_champion_takes_the_place_of_the_older_which_a_reader_may_finish(shop, to):
    versions = [shop.promote(name) for name in ("one", "two", "three")]
    for version in versions:
        pulled(shop, to, version)
        before = to.resolve()
    assert held(to)["model.txt"] == b"three" and before == to.resolve()
    assert left(to) == sorted(f"shops-{version}" for version in versions[1:])
    assert pulled(shop, to, versions[0]).changed
    assert held(to)["model.txt"] == b"one"


def test_a_version_that_was_never_let_out_is_refused(shop, to):
    version, never = shop.promote("one"), shop.publish("never let out").version
    with pytest.raises(BadRequest, match=rf"'{never}' of shops was never let out in prod; these were: {version}"):
        pulled(shop, to, never)
    with pytest.raises(BadRequest, match="nothing of shops serves in qa"):
        pulled(shop, to, ring="qa")
    assert not to.exists()


@pytest.mark.parametrize("other", ["file", "folder", "link"])
def test_other_content_is_refused_and_stays(shop, to, other, tmp_path):
    shop.promote("one")
    to.parent.mkdir()
    if other == "file":
        to.write_text("mine")
    elif other == "folder":
        to.mkdir()
        (to / "mine").write_text("mine")
    else:
        to.symlink_to(tmp_path)
    with pytest.raises(BadRequest, match="name another folder"):
        pulled(shop, to)
    assert to.is_symlink() if other == "link" else "mine" in str(to.read_text() if other == "file" else held(to))


def test_an_empty_folder_is_taken(shop, to):
    shop.promote("one")
    to.mkdir(parents=True)
    assert pulled(shop, to).changed and held(to)["model.txt"] == b"one"


def test_the_folder_of_another_workload_is_refused(shop, to):
    version = shop.promote("one")
    pulled(shop, to)
    kept = to.parent / f".{to.name}.versions"
    (kept / f"shops-{version}").rename(kept / "tracks-1")
    to.unlink()
    to.symlink_to(f"{kept.name}/tracks-1")
    with pytest.raises(BadRequest, match="no pulled version of shops"):
        pulled(shop, to)


def test_what_was_changed_since_is_named(shop, to):
    shop.promote("one")
    pulled(shop, to)
    (to / "model.txt").write_bytes(b"two")
    (to / "more.txt").write_bytes(b"")
    with pytest.raises(BadRequest, match=r"was changed since it was pulled: model\.txt, more\.txt"):
        pulled(shop, to)


def test_a_flipped_byte_leaves_the_folder_as_it_was(shop, to):
    old = shop.promote("one")
    pulled(shop, to)
    shop.promote("two")
    key = blob_key(put_blob(shop.store, b"twotwotwo").digest)
    shop.store.behind.put(key, b"twotwotwa")
    with pytest.raises(HomeDamaged, match=r"models/sales/a\.ubj is damaged in elsewhere://"):
        pulled(shop, to)
    assert held(to)["model.txt"] == b"one" and to.resolve().name == f"shops-{old}"
    shop.store.behind.put(key, b"twotwotwo")
    assert pulled(shop, to).changed and held(to)["model.txt"] == b"two"


def test_a_stranger_signature_is_refused_before_anything_is_fetched(shop, to, tmp_path):
    shop.promote("one")
    shop.store.counts.clear()
    stranger = service_signer(tmp_path / "stranger").trust()
    with pytest.raises(NotTrusted, match="which is none of the 1 trusted"):
        pull(shop.store, stranger, "shops", "prod", to)
    assert not to.exists() and shop.store.counts["open"] == 1


def test_a_bundle_in_the_place_of_another_is_refused(shop, to):
    one, two = shop.promote("one"), shop.promote("two")
    whole = shop.store.behind.local_path(bundle_key("shops", one)).read_bytes()
    shop.store.behind.put(bundle_key("shops", two), whole)
    with pytest.raises(NotTrusted, match="put in another's place"):
        pulled(shop, to)
    assert not to.exists()


PULL = """
import sys
from pathlib import Path
from tasks.adapters.pulling import pull
from tasks.adapters.signing import trusted_keys
from tests.elsewhere import ElsewhereStore
store = ElsewhereStore(Path(sys.argv[1]) / "far", float(sys.argv[3]))
done = pull(store, trusted_keys(Path(sys.argv[1]) / "keys"), "shops", "prod", Path(sys.argv[2]))
print(store.counts["bytes read"], done.fetched_bytes)
"""


def pulling(shop, to, deadly_bytes="inf"):
    command = [sys.executable, "-c", PULL, str(shop.home), str(to), str(deadly_bytes)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_a_killed_pull_goes_on_and_fetches_only_the_rest(shop, to):
    shop.files = {f"models/{number}.bin": os.urandom(16 * MEGABYTE) for number in range(4)}
    shop.promote("one")
    kept = to.parent / f".{to.name}.versions"
    with pulling(shop, to, 24 * MEGABYTE) as child:
        assert child.wait() == -signal.SIGKILL
    assert not to.exists()
    begun = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    assert 8 * MEGABYTE <= begun < 64 * MEGABYTE
    with pulling(shop, to) as child:
        told, fetched = map(int, child.communicate()[0].split())
    assert fetched == 64 * MEGABYTE + 12 - begun
    # Besides, the copy of the ledger's entry and the manifest.
    assert fetched < told < fetched + 10_000
    assert {name: held(to)[name] for name in shop.files} == shop.files


def test_two_pulls_at_once_fetch_it_once(shop, to):
    shop.files = {"large.bin": os.urandom(4 * MEGABYTE)}
    shop.promote("one")
    children = [pulling(shop, to) for _ in range(3)]
    fetched = sorted(int(child.communicate()[0].split()[1]) for child in children)
    assert fetched == [0, 0, 4 * MEGABYTE + 12]


READ = """
import hashlib, json, sys
from pathlib import Path
to, seen, reads = Path(sys.argv[1]), set(), 0
print("reading", flush=True)
while not Path(sys.argv[2]).exists():
    if reads > 100 and len(seen) > 5:
        Path(sys.argv[3]).touch()
    once = to.resolve()
    try:
        said = json.loads((once / "manifest.json").read_bytes())["manifest"]["files"]
        found = {path: hashlib.sha256((once / path).read_bytes()).hexdigest() for path in said}
    except FileNotFoundError:
        # Two versions came while this one was read: it is whole or gone, never another.
        continue
    assert found == {path: blob["digest"] for path, blob in said.items()}, (once, said, found)
    seen.add(once.name)
    reads += 1
"""


PULL_ON = """
import sys
from pathlib import Path
from tasks.adapters.pulling import pull
from tasks.adapters.signing import trusted_keys
from tests.elsewhere import ElsewhereStore
home, to, over, enough = map(Path, sys.argv[1:])
store, trust, versions = ElsewhereStore(home / "far"), trusted_keys(home / "keys"), []
print("pulling", flush=True)
while not over.exists():
    versions.append(pull(store, trust, "shops", "prod", to).version)
    if len(versions) > 100 and sum(one != two for one, two in zip(versions, versions[1:])) > 50:
        enough.touch()
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_readers_racing_a_thousand_promotions_never_see_a_mix(shop, to, tmp_path):
    made = [shop.publish(f"model {number}") for number in range(20)]
    shop.enter(made[0], "run 0")
    pulled(shop, to)
    over, pulled_enough, read_enough = (tmp_path / name for name in ("over", "pulled", "read"))
    pull_on = [sys.executable, "-c", PULL_ON, str(shop.home), str(to), str(over), str(pulled_enough)]
    read_on = [sys.executable, "-c", READ, str(to), str(over), str(read_enough)]
    options = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE}
    with subprocess.Popen(pull_on, **options) as puller, subprocess.Popen(read_on, **options) as reader:
        for child in (puller, reader):
            child.stdout.readline()
        # A thousand, and on until both kept up with many of them, however this machine shares itself out.
        for number in itertools.count(1):
            shop.enter(made[number % 20], f"run {number}")
            kept_up = pulled_enough.exists() and read_enough.exists()
            if (number >= 1000 and kept_up) or puller.poll() is not None or reader.poll() is not None:
                break
        over.touch()
    assert puller.returncode == reader.returncode == 0 and kept_up
    assert ledger.length(shop.store, "shops") == number + 1
    assert ledger.verify(shop.store, shop.trust, "shops") is None
    assert pulled(shop, to).version == made[number % 20].version


def test_a_second_version_uploads_only_what_changed(shop):
    shop.files = {f"models/{number}.bin": os.urandom(10_000) for number in range(10)}
    shop.publish("one")
    shop.store.counts.clear()
    shop.publish("two")
    manifest = next(key for key in shop.store.list("bundles/") if shop.store.behind.local_path(key).stat().st_size)
    size = shop.store.behind.local_path(manifest).stat().st_size
    # Two files that differ and the manifest; every other blob is asked for once and not read.
    assert shop.store.counts["put"] == 3
    assert 12 < shop.store.counts["bytes put"] <= 12 + size + 100
    assert shop.store.counts["head blobs"] == 12 and shop.store.counts["open"] == 0


def test_the_manifest_says_what_the_files_are(shop, to):
    shop.promote("one")
    pulled(shop, to)
    said = json.loads((to / "manifest.json").read_bytes())["manifest"]["files"]
    assert {path: blob["digest"] for path, blob in said.items()} == {
        path: hashlib.sha256(content).hexdigest() for path, content in held(to).items() if path != "manifest.json"
    }
