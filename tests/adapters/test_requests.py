"""Requests: asked once, found again by whoever asks the same, closed once; killed anywhere, none is lost or doubled."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.adapters import bundles, contents, dossiers, ledger, requests
from tasks.adapters.blobs import put_blob
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import Signer, seal, service_signer, trusted_keys
from tasks.core.comparison import Comparison
from tasks.core.digests import canonical_json, plain
from tasks.core.dossier import Dossier, subject_of
from tasks.core.gates import NONE_YET, Incumbent, Rehearsal
from tasks.core.manifest import About
from tasks.core.values import Entry, Interval, Verdict
from tasks.errors import BadRequest, HomeDamaged, NotTrusted

ROOT = Path(__file__).parents[2]
NOW, LATER = "2026-11-21T10:00:00+00:00", "2026-11-21T11:00:00+00:00"


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def signer(tmp_path):
    return service_signer(tmp_path / "keys")


@pytest.fixture
def trust(tmp_path, signer):
    return trusted_keys(tmp_path / "keys")


def draft(nonce="one", **changes):
    asked = Dossier(
        workload="channels",
        ring="dev",
        version="new",
        run_key="run of new",
        requested_by="service",
        requested_at=NOW,
        expires_at="",
        nonce=nonce,
        manifest="a" * 64,
        evidence="b" * 64,
        snapshot="c" * 64,
        definitions="d" * 64,
        policy="e" * 64,
        champion=NONE_YET,
        rollback=None,
        comparisons=(),
        verdicts=(Verdict("leakage", "pass", "0 found", "no leak", ""),),
        serves=("growth",),
        rehearsal=Rehearsal("new", True, 20, 0.0, 1e-6),
        recommendation="greenlight",
        because="every gate passed",
    )
    return replace(asked, **changes)


def entry_of(dossier):
    return Entry(
        workload=dossier.workload,
        number=0,
        kind="promotion",
        ring=dossier.ring,
        version=dossier.version,
        manifest_digest=dossier.manifest,
        serves=dossier.serves,
        evidence=dossier.digest,
        policy=dossier.policy,
        decided_by="policy dev",
        reason=dossier.because,
        at=NOW,
        previous="",
        run_key=dossier.run_key,
    )


def test_a_request_is_kept_signed_and_its_dossier_too(store, signer, trust):
    asked = requests.open_request(store, signer, trust, draft())
    assert list(store.list("requests/")) == [f"requests/channels/dev/{asked.subject[:12]}-1.json"]
    assert requests.open_requests(store, trust) == (asked,)
    assert dossiers.read(store, asked.digest) == asked
    assert requests.closed_request(store, trust, asked) is None


def test_who_asks_the_same_again_gets_what_was_asked_first(store, signer, trust):
    first = requests.open_request(store, signer, trust, draft())
    again = requests.open_request(store, signer, trust, draft("two", requested_at=LATER, requested_by="bob"))
    assert again == first
    assert again.digest == first.digest and again.nonce == "one"
    assert len(requests.open_requests(store, trust)) == 1


def test_a_whole_number_for_a_fraction_changes_no_digest(store, signer, trust):
    compared = Comparison("growth", "old", "better", Interval(-1, -1, -1), 0, 1, 60)
    broken = Rehearsal("new", False, 0, float("inf"), 1e-6, "it died")
    asked = requests.open_request(store, signer, trust, draft(comparisons=(compared,), rehearsal=broken))
    assert requests.open_requests(store, trust)[0].digest == asked.digest
    assert dossiers.read(store, asked.digest).digest == asked.digest


def test_a_closed_question_is_asked_anew(store, signer, trust):
    first = requests.open_request(store, signer, trust, draft())
    assert requests.is_open(store, trust, first) and not requests.is_open(store, trust, draft("never asked"))
    closed = requests.close_request(store, signer, trust, first, "rejected", at=NOW)
    assert not requests.is_open(store, trust, first)
    assert requests.closed_request(store, trust, first) == closed
    assert requests.open_requests(store, trust) == ()
    second = requests.open_request(store, signer, trust, draft("two"))
    assert second.nonce == "two" and second.subject == first.subject
    assert [key.rpartition("-")[2] for key in store.list("requests/")] == ["1.closed.json", "1.json", "2.json"]
    assert requests.open_request(store, signer, trust, draft("three")) == second


def test_a_request_is_closed_once(store, signer, trust):
    asked = requests.open_request(store, signer, trust, draft())
    first = requests.close_request(store, signer, trust, asked, "promoted", at=NOW, number=1)
    assert requests.close_request(store, signer, trust, asked, "rejected", at=LATER) == first
    assert requests.closed_request(store, trust, asked).outcome == "promoted"


def test_what_was_never_asked_cannot_be_closed(store, signer, trust):
    with pytest.raises(BadRequest, match="was never asked"):
        requests.close_request(store, signer, trust, draft(), "held", at=NOW)


def test_an_expired_request_is_closed_as_such_and_asked_anew(store, signer, trust):
    first = requests.open_request(store, signer, trust, draft(expires_at=LATER))
    second = requests.open_request(store, signer, trust, draft("two", requested_at=LATER))
    assert second.nonce == "two"
    assert requests.closed_request(store, trust, first).outcome == "expired"


def test_open_requests_are_those_of_the_workload_and_ring_asked_for(store, signer, trust):
    dev = requests.open_request(store, signer, trust, draft())
    qa = requests.open_request(store, signer, trust, draft(ring="qa", requested_at=LATER))
    tracks = requests.open_request(store, signer, trust, draft(workload="tracks"))
    assert requests.open_requests(store, trust, "channels") == (dev, qa)
    assert requests.open_requests(store, trust, "channels", "qa") == (qa,)
    assert set(requests.open_requests(store, trust)) == {dev, qa, tracks}


def test_a_request_nothing_can_come_of_any_more_is_superseded(store, signer, trust):
    stale = requests.open_request(store, signer, trust, draft(version="older"))
    fresh = requests.open_request(store, signer, trust, draft(champion=Incumbent("v9", ("growth",), "9" * 64, 3)))
    other = requests.open_request(store, signer, trust, draft(version="third", champion=fresh.champion))
    assert requests.settle(store, signer, trust, fresh, 3, at=LATER) == (stale,)
    assert requests.closed_request(store, trust, stale).outcome == "superseded"
    assert set(requests.open_requests(store, trust)) == {fresh, other}


def test_a_version_asked_about_with_new_findings_supersedes_its_older_request(store, signer, trust):
    old = requests.open_request(store, signer, trust, draft())
    new = requests.open_request(store, signer, trust, draft("two", policy="f" * 64))
    assert requests.settle(store, signer, trust, new, 0, at=LATER) == (old,)


def test_an_entry_whose_request_was_left_open_closes_it_as_promoted(store, signer, trust):
    killed = requests.open_request(store, signer, trust, draft(version="older"))
    entry = ledger.append(store, signer, entry_of(killed), 0)
    fresh = requests.open_request(store, signer, trust, draft(champion=Incumbent("older", (), "", entry.number)))
    requests.settle(store, signer, trust, fresh, entry.number, at=LATER)
    closed = requests.closed_request(store, trust, killed)
    assert (closed.outcome, closed.number) == ("promoted", 1)


def test_a_request_by_a_stranger_is_refused(store, signer, trust):
    stranger = Signer(Ed25519PrivateKey.generate())
    requests.open_request(store, stranger, stranger.trust(), draft())
    for reading in (
        lambda: requests.open_requests(store, trust),
        lambda: requests.open_request(store, signer, trust, draft("two")),
    ):
        with pytest.raises(NotTrusted, match="none of the 1 trusted"):
            reading()


def test_a_changed_request_is_refused(store, signer, trust):
    requests.open_request(store, signer, trust, draft())
    path = store.local_path(next(store.list("requests/")))
    path.write_bytes(path.read_bytes().replace(b"every gate", b"some gates"))
    with pytest.raises(NotTrusted, match="does not fit its content"):
        requests.open_requests(store, trust)


def test_a_request_moved_to_another_ring_is_refused(store, signer, trust):
    requests.open_request(store, signer, trust, draft())
    key = next(store.list("requests/"))
    store.put(key.replace("/dev/", "/prod/"), store.local_path(key))
    with pytest.raises(HomeDamaged, match="put in another's place"):
        requests.open_requests(store, trust, "channels", "prod")


@pytest.mark.parametrize("change", [{"rollback_rehearsal": None}, {"break_glass": None}, {"verdicts": 5}])
def test_what_another_version_asked_stops_nothing_and_is_closed_when_asked_anew(store, signer, trust, change, caplog):
    body = plain(draft()) | change
    body = {name: value for name, value in body.items() if name not in change or value is not None}
    older = f"requests/channels/dev/{subject_of(body)[:12]}-1"
    store.put(f"{older}.json", seal(signer, requests.FORM, {"request": body}))
    other = requests.open_request(store, signer, trust, draft(ring="qa"))
    assert requests.open_requests(store, trust) == (other,)
    assert f"{older}.json" in caplog.text
    fresh = requests.open_request(store, signer, trust, draft("two"))
    requests.settle(store, signer, trust, fresh, 0, at=LATER)
    assert store.head(f"{older}.closed.json") is not None
    assert requests.closed_request(store, trust, fresh) is None
    assert requests.open_requests(store, trust, "channels", "dev") == (fresh,)


BUILDERS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("built", {__file__!r})
built = module_from_spec(spec)
spec.loader.exec_module(built)
from pathlib import Path
home = Path(sys.argv[1])
store, signer = built.DirectoryStore(home / "store"), built.service_signer(home / "keys")
trust = built.trusted_keys(home / "keys")
"""

OPENER = (
    BUILDERS
    + """
print("ready", flush=True)
for line in sys.stdin:
    asked = built.draft(sys.argv[2] + line.strip(), version="v" + line.strip())
    print(built.requests.open_request(store, signer, trust, asked).digest, flush=True)
"""
)


def test_of_two_openers_at_once_both_hold_the_same_request(store, signer, trust, tmp_path):
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(tmp_path), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for name in "ab"
    ]  # fmt: skip
    assert [opener.stdout.readline() for opener in openers] == ["ready\n", "ready\n"]
    for number in range(20):
        for opener in openers:
            opener.stdin.write(f"{number}\n")
            opener.stdin.flush()
        assert len({opener.stdout.readline() for opener in openers}) == 1
    for opener in openers:
        opener.communicate()
    assert len(requests.open_requests(store, trust)) == 20


KILLED = (
    BUILDERS
    + """
import os, signal
asked = built.requests.open_request(store, signer, trust, built.draft(sys.argv[2]))
if sys.argv[3] == "opened":
    os.kill(os.getpid(), signal.SIGKILL)
entry = built.ledger.append(store, signer, built.entry_of(asked), 0)
if sys.argv[3] == "appended":
    os.kill(os.getpid(), signal.SIGKILL)
built.requests.close_request(store, signer, trust, asked, "promoted", at=built.NOW, number=entry.number)
if sys.argv[3] == "closed":
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_a_run_killed_between_append_and_close_ends_in_one_entry_and_one_closed_request(store, signer, trust, tmp_path):
    for nonce, where in (("one", "opened"), ("two", "appended"), ("three", "closed")):
        done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), nonce, where], cwd=ROOT, check=False)
        assert done.returncode == -9, where
    (entry,) = ledger.read(store, "channels", trust)
    dossier = dossiers.read(store, entry.evidence)
    assert dossier.nonce == "one"
    assert requests.closed_request(store, trust, dossier).number == 1
    assert len(list(store.list("requests/"))) == 2


@pytest.fixture
def let_out(store, signer, trust):
    """An entry that leads to its dossier and to a bundle, as a promotion leaves them."""
    about = About(("growth",), {"snapshot": "c" * 64, "features": "d" * 64})
    made = bundles.publish(store, signer, "channels", {contents.EVIDENCE: b"{}"}, about)
    manifest = bundles.read_manifest(store, trust, "channels", made.version)
    evaluation = manifest.files[contents.EVIDENCE].digest
    asked = draft(version=made.version, manifest=manifest.digest, evidence=evaluation)
    return entry_of(requests.open_request(store, signer, trust, asked))


def test_an_auditor_follows_an_entry_to_its_dossier_and_its_bundle(store, trust, let_out):
    assert dossiers.trace(store, trust, let_out).digest == let_out.evidence


@pytest.mark.parametrize("name", ["workload", "ring", "manifest", "evidence", "snapshot", "definitions", "serves"])
def test_a_link_that_leads_elsewhere_is_named(store, trust, let_out, name):
    was = dossiers.read(store, let_out.evidence)
    forged = replace(was, **{name: ("other",) if name == "serves" else "other"})
    dossiers.keep(store, forged)
    with pytest.raises(NotTrusted, match="does not lead to what it let out"):
        dossiers.trace(store, trust, replace(let_out, evidence=forged.digest))


def test_a_lost_or_altered_dossier_is_named(store, trust, let_out):
    path = store.local_path(f"blobs/sha256/{let_out.evidence[:2]}/{let_out.evidence}")
    path.write_bytes(canonical_json(draft()))
    with pytest.raises(HomeDamaged, match="is damaged"):
        dossiers.trace(store, trust, let_out)
    path.unlink()
    with pytest.raises(HomeDamaged, match="is gone from"):
        dossiers.trace(store, trust, let_out)


def test_a_blob_that_is_no_dossier_is_named(store):
    blob = put_blob(store, b'{"a": 1}')
    with pytest.raises(HomeDamaged, match="is no dossier of this version"):
        dossiers.read(store, blob.digest)
