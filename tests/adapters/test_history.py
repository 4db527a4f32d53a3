import csv
import io
import json
from dataclasses import replace

import pytest

from tasks.adapters import history, ledger, line, projections
from tasks.adapters.blobs import put_blob
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.digests import canonical_json
from tasks.core.ledger_chain import Anchor, digest_of_entry
from tasks.core.values import Entry
from tasks.errors import LedgerBroken

DRAFT = Entry("shops", 0, "promotion", "prod", "v1", "m", ("sales",), "", "p" * 64, "alice", "it is better", "", "")


class Office:
    def __init__(self, folder):
        self.store = DirectoryStore(folder / "store")
        self.keys = folder / "keys"
        self.signer = service_signer(self.keys)
        self.trust = trusted_keys(self.keys)

    def add(self, version, hour=1, **changes):
        draft = replace(DRAFT, version=version, run_key=version, at=f"2026-11-21T{hour:02}:00:00+00:00", **changes)
        champion = ledger.champion(self.store, "shops", draft.ring)
        return ledger.append(self.store, self.signer, draft, ledger.number_of(champion))

    def path(self, number):
        return self.store.local_path(ledger.entry_key("shops", number))

    def verified(self, **asked):
        return history.verified(self.store, self.keys, **asked)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


def test_history_says_who_let_what_out_when_why_and_on_which_evidence(office):
    dossier = put_blob(office.store, canonical_json({"workload": "shops", "requested_by": "carol"})).digest
    office.add("v1", evidence=dossier)
    office.add("v2", 2, kind="rejection", evidence="e" * 64, decided_by="bob", reason="the slices got worse")
    first, second = history.events(office.store, office.trust, "shops")
    assert (first.kind, first.version, first.decided_by, first.requested_by) == ("promotion", "v1", "alice", "carol")
    assert (first.evidence, first.policy, first.reason) == (dossier, "p" * 64, "it is better")
    assert (second.kind, second.requested_by, second.reason) == ("rejection", "", "the slices got worse")
    assert next(history.told([first])) == (
        "2026-11-21T01:00:00+00:00     1  promotion v1 in prod, by alice, asked for by carol"
    )


def test_history_of_a_ring_leaves_other_rings_out_and_stops_in(office):
    office.add("v1", ring="dev")
    office.add("v1", 2, ring="prod")
    line.stop(office.store, office.signer, office.trust, reason="the source is wrong", by="bob")
    line.stop(office.store, office.signer, office.trust, reason="another one's line", by="bob", scope="other")
    found = history.events(office.store, office.trust, "shops", "prod")
    assert [(event.kind, event.ring) for event in found] == [("promotion", "prod"), ("stop", "*")]


def test_a_whole_ledger_verifies_and_says_what_to_note_elsewhere(office):
    office.add("v1")
    newest = office.add("v2")
    (found,) = office.verified()
    assert (found.workload, found.entries, found.head) == ("shops", 2, Anchor(2, digest_of_entry(newest)))


def changed(office):
    path = office.path(2)
    path.write_bytes(path.read_bytes().replace(b"it is better", b"it is bitter"))


def garbled(office):
    office.path(2).write_bytes(b"{")


def removed(office):
    office.path(2).unlink()


def swapped(office):
    office.path(2).write_bytes(office.path(1).read_bytes())


def resigned(office):
    stranger = service_signer(office.store.root / "stranger")
    entry = ledger.read_entry(office.store, "shops", 2)
    office.path(2).write_bytes(ledger.sealed(stranger, entry))


def rewritten(office):
    """By whoever holds the service's key: the signature holds, the chain does not."""
    entry = replace(ledger.read_entry(office.store, "shops", 2), reason="another reason")
    office.path(2).write_bytes(ledger.sealed(office.signer, entry))


@pytest.mark.parametrize(
    ("harm", "number"), [(changed, 2), (garbled, 2), (removed, 2), (swapped, 2), (resigned, 2), (rewritten, 3)]
)
def test_whatever_was_done_to_an_entry_the_first_broken_one_is_named(office, harm, number):
    for version in ("v1", "v2", "v3", "v4"):
        office.add(version)
    harm(office)
    with pytest.raises(LedgerBroken, match=f"the ledger of shops is broken at entry {number}: "):
        office.verified()


def forgotten(office):
    """Whoever cuts the end off thinks of our own notes too."""
    office.store.delete("anchors/shops.json")
    (office.keys / "anchors/shops.json").unlink()


@pytest.mark.parametrize("place", ["store/anchors/shops.json", "keys/anchors/shops.json"])
def test_a_cut_off_end_is_found_by_our_own_note_in_either_place(office, tmp_path, place):
    office.add("v1")
    office.add("v2")
    office.path(2).unlink()
    (tmp_path / place).unlink()
    with pytest.raises(LedgerBroken, match="entry 2: the ledger ends at 1, but entry 2 was noted elsewhere"):
        office.verified()


def test_a_note_that_was_changed_is_no_whole_ledger(office, tmp_path):
    office.add("v1")
    (tmp_path / "keys/anchors/shops.json").write_bytes(b"{}")
    with pytest.raises(LedgerBroken, match="what bears witness to the ledger of shops was changed"):
        office.verified()


def test_a_cut_off_end_is_found_by_what_was_noted_elsewhere(office):
    office.add("v1")
    noted = Anchor(2, digest_of_entry(office.add("v2")))
    office.path(2).unlink()
    forgotten(office)
    assert office.verified()[0].entries == 1
    with pytest.raises(LedgerBroken, match="entry 2: the ledger ends at 1, but entry 2 was noted elsewhere"):
        office.verified(elsewhere={"shops": noted})
    office.add("v2 again")
    with pytest.raises(LedgerBroken, match="entry 2: it is not the entry noted elsewhere"):
        office.verified(elsewhere={"shops": noted})


def test_a_ledger_that_is_gone_altogether_is_found_by_what_was_noted_elsewhere(office):
    noted = Anchor(1, digest_of_entry(office.add("v1")))
    office.path(1).unlink()
    forgotten(office)
    assert office.verified() == ()
    with pytest.raises(LedgerBroken, match="the ledger ends at 0"):
        office.verified(elsewhere={"shops": noted})


def test_a_cut_off_end_is_found_by_the_copy_readers_have(office):
    office.add("v1")
    office.add("v2")
    projections.reconcile(office.store, office.trust, None, "shops", "prod")
    office.path(2).unlink()
    forgotten(office)
    with pytest.raises(LedgerBroken, match="entry 2: it is not the signed copy of it that readers have"):
        office.verified()


def test_the_line_is_verified_like_any_ledger(office):
    line.stop(office.store, office.signer, office.trust, reason="the source is wrong", by="bob")
    path = office.store.local_path("ledger/_line/000001.json")
    path.write_bytes(path.read_bytes().replace(b"bob", b"eve"))
    with pytest.raises(LedgerBroken, match="the ledger of _line is broken at entry 1"):
        office.verified()


def test_an_export_holds_every_field_and_the_digest(office):
    one, two = office.add("v1"), office.add("v2")
    found = history.entries(office.store, office.trust)
    assert [each["digest"] for each in json.loads(history.as_json(found))] == [
        digest_of_entry(one),
        digest_of_entry(two),
    ]
    rows = list(csv.DictReader(io.StringIO(history.as_csv(found))))
    assert [(row["number"], row["version"], row["serves"], row["digest"]) for row in rows] == [
        ("1", "v1", "sales", digest_of_entry(one)),
        ("2", "v2", "sales", digest_of_entry(two)),
    ]


def test_a_reason_that_a_spreadsheet_would_run_is_made_harmless_in_csv(office):
    office.add("v1", reason='=HYPERLINK("http://example.org")')
    found = history.entries(office.store, office.trust)
    assert next(csv.DictReader(io.StringIO(history.as_csv(found))))["reason"] == '\'=HYPERLINK("http://example.org")'
    assert json.loads(history.as_json(found))[0]["reason"].startswith("=HYPERLINK")
