"""What is built on the five verbs holds on every store: bundles, the ledger's one commit, a nonce that is used once."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.adapters import ledger
from tasks.adapters.blobs import blob_key, put_blob, read_blob
from tasks.adapters.bundles import bundle_key, fetch_bundle, open_bundle, publish
from tasks.adapters.decisions import spend
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.adapters.store import read_bytes
from tasks.core.manifest import About
from tasks.core.values import Entry
from tasks.errors import HomeDamaged, LedgerMoved, NotTrusted
from tests.deciding import dossier
from tests.stores import at_once

ROOT = Path(__file__).parents[2]
FILES = {"models/growth.ubj": random.Random(1).randbytes(100_000), "card.md": b"# Card\r\n"}
ABOUT = About(("growth",), {"snapshot": "s" * 64}, {})
DRAFT = Entry("channels", 0, "promotion", "dev", "v", "m" * 64, ("growth",), "e", "p", "policy dev", "", "", "")


@pytest.fixture
def store(place):
    return place.open()


@pytest.fixture
def signer(tmp_path):
    return service_signer(tmp_path / "keys")


@pytest.fixture
def trust(tmp_path, signer):
    return trusted_keys(tmp_path / "keys")


def draft(version):
    return replace(DRAFT, version=version, manifest_digest=version * 8, run_key=version)


def test_a_bundle_is_published_opened_fetched_and_let_out(store, signer, trust, tmp_path):
    challenger = publish(store, signer, "channels", FILES, ABOUT)
    assert publish(store, signer, "channels", FILES, ABOUT) == challenger
    bundle = open_bundle(store, trust, "channels", challenger.version)
    assert {path: bundle.read(path) for path in bundle.manifest.files} == FILES
    fetch_bundle(store, trust, "channels", challenger.version, tmp_path / "fetched")
    assert {path: (tmp_path / "fetched" / path).read_bytes() for path in FILES} == FILES
    let_out = replace(draft(challenger.version), manifest_digest=challenger.manifest_digest)
    entry = ledger.append(store, signer, let_out, 0)
    assert ledger.append(store, signer, let_out, 0) == entry
    assert ledger.champion(store, "channels", "dev", trust) == entry
    assert ledger.read(store, "channels", trust) == (entry,)


def test_a_bundle_that_was_tampered_with_is_refused(store, signer, trust):
    challenger = publish(store, signer, "channels", FILES, ABOUT)
    key = bundle_key("channels", challenger.version)
    sealed = read_bytes(store, key)
    store.put(key, sealed.replace(b"card.md", b"Card.md"))
    with pytest.raises(NotTrusted):
        open_bundle(store, trust, "channels", challenger.version)
    store.put(key, sealed)
    blob = put_blob(store, FILES["card.md"])
    store.put(blob_key(blob.digest), b"# Cord\r\n")
    with pytest.raises(HomeDamaged, match=r"card\.md .*is damaged"):
        open_bundle(store, trust, "channels", challenger.version)


def test_a_blob_is_written_once(store):
    blob = put_blob(store, FILES["card.md"])
    head = store.head(blob_key(blob.digest))
    assert put_blob(store, FILES["card.md"]) == blob
    assert store.head(blob_key(blob.digest)) == head
    assert read_blob(store, blob) == FILES["card.md"]


def test_of_two_who_decided_on_the_same_ledger_one_appends(place, signer, trust):
    stores = [place.open(), place.open()]
    for turn in range(1, 4):

        def append(who, turn=turn):
            try:
                return ledger.append(stores[who], signer, draft(f"v{turn}{who}"), turn - 1)
            except LedgerMoved:
                return None

        (entry,) = [entry for entry in at_once(append, 2) if entry]
        assert entry.number == turn
        assert ledger.champion(stores[0], "channels", "dev", trust) == entry
    assert ledger.verify(stores[1], trust, "channels") is None


def test_an_approval_is_used_once(place):
    stores, mine = [place.open(), place.open()], dossier()
    for store in stores:
        spend(store, mine, ("alice",))
    with pytest.raises(NotTrusted, match="an approval is used once"):
        spend(stores[1], dossier(version="other"), ("alice",))


FETCH = """
import json, resource, sys
from pathlib import Path
from tasks.adapters.bundles import fetch_bundle
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import open_store
from tasks.errors import OutOfSpace
uri, keys, version, folder = json.load(sys.stdin)
store, trust = open_store(uri), trusted_keys(Path(keys))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    fetch_bundle(store, trust, "channels", version, Path(folder))
except OutOfSpace as error:
    print(error)
"""


def test_a_disk_that_is_full_while_a_bundle_comes_keeps_none_of_it(store, signer, tmp_path):
    version = publish(store, signer, "channels", FILES, ABOUT).version
    target = tmp_path / "target" / "bundle"
    asked = json.dumps([store.uri, str(tmp_path / "keys"), version, str(target)])
    command = [sys.executable, "-c", FETCH]
    done = subprocess.run(command, input=asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=280)
    assert f"could not be written to {target}: File too large; make room" in done.stdout
    assert list(target.parent.iterdir()) == []
