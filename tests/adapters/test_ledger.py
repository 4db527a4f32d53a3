import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.adapters import anchors, ledger
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.projections import champion_key, reconcile, serving
from tasks.adapters.signing import Signer, service_signer, trusted_keys
from tasks.adapters.store import read_bytes
from tasks.core.ledger_chain import Anchor, digest_of_entry
from tasks.core.values import Entry
from tasks.errors import AlreadyExists, HomeDamaged, LedgerMoved, NotTrusted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def signer(keys):
    return service_signer(keys)


@pytest.fixture
def trust(keys, signer):
    return trusted_keys(keys)


def draft(version="v1", ring="dev", kind="promotion", run_key="", at="2026-11-21T00:00:00+00:00"):
    return Entry(
        workload="channels",
        number=0,
        kind=kind,
        ring=ring,
        version=version,
        manifest_digest=version * 2,
        serves=("growth",),
        evidence="e",
        policy="p",
        decided_by="policy dev",
        reason="every gate passed",
        at=at,
        previous="",
        run_key=run_key or f"run of {version}",
    )


def grown(store, signer, *versions, ring="dev"):
    return [
        ledger.append(store, signer, draft(version, ring), ledger.number_of(ledger.champion(store, "channels", ring)))
        for version in versions
    ]


def path_of(store, number):
    return store.local_path(ledger.entry_key("channels", number))


def test_entries_are_numbered_chained_and_read_back(store, signer, trust):
    one, two = grown(store, signer, "v1", "v2")
    assert (one.number, two.number) == (1, 2)
    assert two.previous == digest_of_entry(one)
    assert ledger.read(store, "channels", trust) == (one, two)
    assert list(store.list("ledger/")) == ["ledger/channels/000001.json", "ledger/channels/000002.json"]
    assert ledger.verify(store, trust, "channels") is None
    assert list(ledger.workloads(store)) == ["channels"]


def test_an_empty_ledger_has_no_champion_and_no_break(store, trust):
    assert ledger.champion(store, "channels", "dev") is None
    assert ledger.read(store, "channels") == ()
    assert ledger.verify(store, trust, "channels") is None
    assert ledger.number_of(ledger.champion(store, "channels", "dev")) == 0


def test_the_newest_entry_of_a_ring_is_its_champion(store, signer):
    grown(store, signer, "v1", "v2")
    grown(store, signer, "v1", ring="qa")
    assert ledger.champion(store, "channels", "dev").version == "v2"
    assert ledger.champion(store, "channels", "qa").version == "v1"
    assert ledger.champion(store, "channels", "prod") is None


def test_a_rollback_brings_an_older_version_back(store, signer):
    grown(store, signer, "v1", "v2")
    back = ledger.append(store, signer, draft("v1", kind="rollback"), 2)
    assert ledger.champion(store, "channels", "dev") == back


def test_whoever_decided_on_an_older_ledger_appends_nothing(store, signer):
    grown(store, signer, "v1")
    with pytest.raises(LedgerMoved, match=r"v2 was to be let out in dev over .* entry none, but .* is entry 1"):
        ledger.append(store, signer, draft("v2"), 0)
    with pytest.raises(LedgerMoved):
        ledger.append(store, signer, draft("v2"), 2)
    assert ledger.length(store, "channels") == 1


def test_appending_what_is_already_there_returns_it_and_writes_nothing(store, signer):
    (first,) = grown(store, signer, "v1")
    again = ledger.append(store, signer, draft("v1", at="later"), 0)
    assert again == first
    assert ledger.append(store, signer, draft("v1", at="later"), 1) == first
    assert ledger.length(store, "channels") == 1


def test_an_entry_of_another_ring_in_between_makes_no_double(store, signer):
    (first,) = grown(store, signer, "v1")
    grown(store, signer, "v1", ring="qa")
    assert ledger.append(store, signer, draft("v1"), 2) == first
    assert ledger.length(store, "channels") == 2


def test_an_entry_of_another_ring_in_between_voids_no_decision(store, signer, trust):
    grown(store, signer, "v1")
    grown(store, signer, "v1", "v2", ring="qa")
    appended = ledger.append(store, signer, draft("v2"), 1)
    assert appended.number == 4
    assert ledger.verify(store, trust, "channels") is None


def test_a_record_that_changes_nothing_moves_no_champion_and_is_written_once(store, signer):
    grown(store, signer, "v1")
    held = ledger.append(store, signer, draft("v2", kind="hold"), 1)
    assert ledger.append(store, signer, draft("v2", kind="hold", at="later"), 1) == held
    assert ledger.champion(store, "channels", "dev").version == "v1"
    another = ledger.append(store, signer, replace(draft("v2", kind="hold"), evidence="another dossier"), 1)
    assert (held.number, another.number) == (2, 3)
    assert ledger.append(store, signer, draft("v2"), 1).number == 4


class LosesTheReply(DirectoryStore):
    """A store whose first create succeeds and says that it failed, as an SDK's silent retry does."""

    lost = False

    def put(self, key, source, **conditions):
        head = super().put(key, source, **conditions)
        if key.startswith("ledger/") and not self.lost:
            self.lost = True
            raise AlreadyExists("the SDK retried and met its own first try")
        return head


def test_a_lost_reply_is_no_lost_race(store, signer):
    unlucky = LosesTheReply(store.root)
    assert ledger.append(unlucky, signer, draft("v1"), 0).number == 1
    assert ledger.length(store, "channels") == 1


class LosesTheRace(DirectoryStore):
    """A store in which another promotion comes first, after the ledger was read."""

    rival = None

    def put(self, key, source, **conditions):
        rival, self.rival = self.rival, None
        if rival and key.startswith("ledger/"):
            super().put(key, rival)
        return super().put(key, source, **conditions)


def test_whoever_loses_the_race_promotes_nothing(store, signer, tmp_path):
    other = DirectoryStore(tmp_path / "other")
    grown(other, Signer(signer.private), "rival")
    raced = LosesTheRace(store.root)
    raced.rival = read_bytes(other, "ledger/channels/000001.json")
    with pytest.raises(LedgerMoved, match="another came first and nothing was promoted"):
        ledger.append(raced, signer, draft("v1"), 0)
    assert [entry.version for entry in ledger.read(store, "channels")] == ["rival"]


def test_whoever_meets_an_entry_of_another_ring_goes_on_after_it(store, signer, trust, tmp_path):
    other = DirectoryStore(tmp_path / "other")
    grown(other, Signer(signer.private), "rival", ring="qa")
    raced = LosesTheRace(store.root)
    raced.rival = read_bytes(other, "ledger/channels/000001.json")
    assert ledger.append(raced, signer, draft("v1"), 0).number == 2
    assert ledger.verify(store, trust, "channels") is None


class AlwaysLate(DirectoryStore):
    """A store in which somebody else is always first."""

    def put(self, key, source, **conditions):
        raise AlreadyExists("somebody else was first")


def test_whoever_is_always_late_gives_up_and_says_so(store, signer):
    with pytest.raises(LedgerMoved, match="others appended to the ledger 20 times"):
        ledger.append(AlwaysLate(store.root), signer, draft("v1"), 0)


def test_a_changed_entry_is_found_by_its_signature(store, signer, trust):
    grown(store, signer, "v1", "v2", "v3")
    path_of(store, 2).write_bytes(path_of(store, 2).read_bytes().replace(b"every gate", b"some gates"))
    broken = ledger.verify(store, trust, "channels")
    assert broken.number == 2
    assert "does not fit its content" in broken.reason
    with pytest.raises(HomeDamaged, match=r"ledger/channels/000002\.json is damaged|000003"):
        ledger.read(store, "channels")
    with pytest.raises(NotTrusted):
        ledger.read(store, "channels", trust)


def test_an_entry_signed_by_a_stranger_is_found(store, signer, trust):
    (first,) = grown(store, signer, "v1")
    foreign = ledger.sealed(Signer(Ed25519PrivateKey.generate()), ledger.link(draft("v2"), first))
    store.put("ledger/channels/000002.json", foreign)
    assert ledger.verify(store, trust, "channels").number == 2
    with pytest.raises(NotTrusted, match="which is none of the 1 trusted"):
        ledger.champion(store, "channels", "dev", trust)


@pytest.fixture
def laptop(tmp_path, signer, keys):
    """The keys of another machine, which trusts the service's."""
    folder = tmp_path / "laptop" / "keys"
    (folder / "trusted").mkdir(parents=True)
    shutil.copy(keys / "service.pub", folder / "trusted" / "service.pub")
    return folder


@pytest.mark.parametrize("workload", ["channels", "tracks"])
def test_a_home_with_another_key_appends_to_no_ledger_of_the_service(store, signer, laptop, trust, workload):
    (first,) = grown(store, signer, "v1")
    other = service_signer(laptop)
    with pytest.raises(
        NotTrusted, match=f"this home's is {re.escape(other.fingerprint)}.*nothing was written.*PREFECT_API_URL"
    ):
        ledger.append(store, other, replace(draft("v2"), workload=workload), 1 if workload == "channels" else 0)
    assert list(ledger.workloads(store)) == ["channels"]
    assert ledger.read(store, "channels", trust) == (first,)
    with pytest.raises(NotTrusted):
        ledger.append(store, other, draft("v1"), 0)
    assert not (laptop / "anchors").exists()


def test_a_ledger_of_its_own_lets_no_home_write_to_another(store, signer, laptop, tmp_path):
    grown(store, signer, "v1")
    other = service_signer(laptop)
    grown(DirectoryStore(tmp_path / "own"), other, "own")
    with pytest.raises(NotTrusted, match="nothing was written"):
        grown(store, other, "v2")


def test_a_key_that_is_listed_beside_the_other_may_follow_it(store, signer, laptop, keys):
    grown(store, signer, "v1")
    other = service_signer(laptop)
    shutil.copy(laptop / "service.pub", laptop / "trusted" / "own.pub")
    (keys / "trusted").mkdir()
    shutil.copy(laptop / "service.pub", keys / "trusted" / "other.pub")
    grown(store, other, "v2")
    assert ledger.verify(store, trusted_keys(keys), "channels") is None


def test_a_home_whose_key_was_renewed_goes_on_in_its_own_ledger(store, signer, keys):
    grown(store, signer, "v1")
    (keys / "trusted").mkdir()
    (keys / "service.pub").rename(keys / "trusted" / "old.pub")
    (keys / "service.key").unlink()
    grown(store, service_signer(keys), "v2")
    assert ledger.verify(store, trusted_keys(keys), "channels") is None


def test_a_removed_entry_is_found_and_stops_appending(store, signer, trust):
    grown(store, signer, "v1", "v2", "v3")
    path_of(store, 2).unlink()
    assert ledger.verify(store, trust, "channels").number == 2
    with pytest.raises(HomeDamaged, match=r"ledger/channels/000002\.json is missing"):
        ledger.append(store, signer, draft("v4"), 3)


def test_entries_pushed_together_after_one_was_removed_are_found(store, signer, trust):
    grown(store, signer, "v1", "v2", "v3")
    path_of(store, 3).rename(path_of(store, 2))
    assert ledger.verify(store, trust, "channels").number == 2
    with pytest.raises(HomeDamaged, match="put in another's place"):
        ledger.champion(store, "channels", "dev")


def test_a_cut_off_end_is_found_by_an_anchor(store, signer, trust):
    entries = grown(store, signer, "v1", "v2")
    anchor = Anchor(2, digest_of_entry(entries[1]))
    assert ledger.verify(store, trust, "channels", anchor) is None
    path_of(store, 2).unlink()
    assert ledger.verify(store, trust, "channels") is None
    assert ledger.verify(store, trust, "channels", anchor).number == 2


def both_places(store, keys):
    return store.local_path("anchors/channels.json"), keys / "anchors" / "channels.json"


def verified(store, keys, trust):
    return ledger.verify(store, trust, "channels", *anchors.noted(store, keys, "channels", trust))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_cut_off_end_is_found_by_what_was_noted_in_either_place(store, signer, keys, trust, lost):
    grown(store, signer, "v1", "v2")
    assert verified(store, keys, trust) is None
    path_of(store, 2).unlink()
    both_places(store, keys)[lost].unlink()
    broken = verified(store, keys, trust)
    assert (broken.number, "its end was cut off" in broken.reason) == (2, True)


def test_nothing_is_appended_to_a_ledger_whose_end_was_cut_off(store, signer, keys):
    grown(store, signer, "v1", "v2")
    path_of(store, 2).unlink()
    both_places(store, keys)[0].unlink()
    with pytest.raises(HomeDamaged, match=r"ends at entry 1, but entry 2 was noted in anchors/channels\.json"):
        grown(store, signer, "v3")
    assert ledger.length(store, "channels") == 1


def test_an_end_written_anew_by_whoever_has_the_store_is_found(store, signer, keys, trust):
    (first, _) = grown(store, signer, "v1", "v2")
    path_of(store, 2).write_bytes(ledger.sealed(signer, ledger.link(draft("v9"), first)))
    assert verified(store, keys, trust).number == 2


def test_a_crash_between_append_and_note_is_caught_up_by_the_next_append(store, signer, keys, trust):
    first, second = grown(store, signer, "v1", "v2")
    for place in both_places(store, keys):
        place.unlink()
    assert verified(store, keys, trust) is None
    assert ledger.append(store, signer, draft("v2"), 1) == second
    assert anchors.noted(store, keys, "channels", trust) == (Anchor(2, digest_of_entry(second)),) * 2
    assert anchors.note(store, signer, first) == ()


def test_a_forged_note_is_refused(store, signer, keys, trust):
    (first,) = grown(store, signer, "v1")
    both_places(store, keys)[0].unlink()
    anchors.note(store, Signer(Ed25519PrivateKey.generate()), first)
    with pytest.raises(NotTrusted, match="which is none of the 1 trusted"):
        anchors.noted(store, keys, "channels", trust)


def test_the_note_of_another_workload_is_refused(store, signer, keys, trust):
    grown(store, signer, "v1")
    here, _ = both_places(store, keys)
    here.rename(here.with_name("tracks.json"))
    with pytest.raises(NotTrusted, match="notes the end of channels, wanted tracks"):
        anchors.noted(store, keys, "tracks", trust)


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_truncated_entry_is_named(store, signer, trust, keep):
    grown(store, signer, "v1", "v2")
    path_of(store, 2).write_bytes(path_of(store, 2).read_bytes()[:keep])
    for read in (ledger.read, lambda *args: ledger.champion(*args, "dev")):
        with pytest.raises(HomeDamaged, match=r"ledger/channels/000002\.json is truncated or garbled"):
            read(store, "channels")
    assert ledger.verify(store, trust, "channels").number == 2


def test_a_stranger_among_the_entries_is_named(store, signer, trust):
    grown(store, signer, "v1")
    store.put("ledger/channels/notes.json", b"{}")
    with pytest.raises(HomeDamaged, match=r"notes\.json is no ledger entry"):
        ledger.read(store, "channels")
    assert ledger.verify(store, trust, "channels").number == 2


def test_thousands_of_entries_verify_within_seconds(store, signer, trust):
    entry = None
    for number in range(1, 1001):
        entry = ledger.link(draft(f"v{number}"), entry)
        path_of(store, number).parent.mkdir(parents=True, exist_ok=True)
        path_of(store, number).write_bytes(ledger.sealed(signer, entry))
    began = time.process_time()
    assert ledger.verify(store, trust, "channels") is None
    assert time.process_time() - began < 2.5


class Aliases:
    """Remembers what it was pointed at, as a registry does."""

    def __init__(self):
        self.at = {}
        self.known = {"v1v1", "v2v2"}

    def knows(self, workload, manifest_digest):
        return manifest_digest in self.known

    def register(self, challenger, run_id, store, tags):
        self.known.add(challenger.manifest_digest)

    def point(self, workload, alias, manifest_digest):
        moved = self.at.get((workload, alias)) != manifest_digest
        self.at[workload, alias] = manifest_digest
        return moved


def brought_up(store, trust, aliases=None):
    return reconcile(store, trust, aliases, "channels", "dev")


def test_projections_follow_the_ledger_and_say_so_once(store, signer, trust):
    aliases = Aliases()
    grown(store, signer, "v1")
    assert brought_up(store, trust, aliases) == (
        "champions/channels/dev.json now names v1 (entry 1); it named nothing",
        "the registry's alias champion-dev of channels now points at v1",
    )
    assert brought_up(store, trust, aliases) == ()
    (second,) = grown(store, signer, "v2")
    assert len(brought_up(store, trust, aliases)) == 2
    assert serving(store, trust, "channels", "dev") == second
    assert aliases.at == {("channels", "champion-dev"): "v2v2"}


class PromotesMeanwhile(DirectoryStore):
    """A store in which another run promotes and projects, right after the ledger was read."""

    rival = None

    def head(self, key):
        rival = self.rival
        if rival and key.startswith("champions/"):
            self.rival = None
            rival()
        return super().head(key)


def test_the_alias_follows_what_was_promoted_meanwhile_and_never_goes_backwards(store, signer, trust):
    aliases = Aliases()
    grown(store, signer, "v1")

    def rival():
        grown(store, signer, "v2")
        brought_up(store, trust, aliases)

    raced = PromotesMeanwhile(store.root)
    raced.rival = rival
    assert brought_up(raced, trust, aliases) == ()
    assert serving(store, trust, "channels", "dev").version == "v2"
    assert aliases.at == {("channels", "champion-dev"): "v2v2"}


def test_with_an_empty_ledger_nothing_serves(store, trust):
    assert brought_up(store, trust, Aliases()) == ()
    assert serving(store, trust, "channels", "dev") is None


def test_a_projection_moved_back_by_hand_is_brought_up_again(store, signer, trust):
    grown(store, signer, "v1")
    brought_up(store, trust)
    old = read_bytes(store, champion_key("channels", "dev"))
    grown(store, signer, "v2")
    brought_up(store, trust)
    store.put(champion_key("channels", "dev"), old)
    assert brought_up(store, trust) == ("champions/channels/dev.json now names v2 (entry 2); it named v1 (entry 1)",)


@pytest.mark.parametrize("damage", [b"", b"{}", b"half of it"])
def test_a_damaged_projection_is_refused_by_readers_and_written_anew(store, signer, trust, damage):
    grown(store, signer, "v1")
    brought_up(store, trust)
    store.put(champion_key("channels", "dev"), damage)
    with pytest.raises(HomeDamaged):
        serving(store, trust, "channels", "dev")
    assert brought_up(store, trust) == (
        "champions/channels/dev.json now names v1 (entry 1); it named nothing readable",
    )
    assert serving(store, trust, "channels", "dev").version == "v1"


def test_a_projection_of_another_ring_is_refused(store, signer, trust):
    grown(store, signer, "v1", ring="qa")
    reconcile(store, trust, None, "channels", "qa")
    store.put(champion_key("channels", "dev"), read_bytes(store, champion_key("channels", "qa")))
    with pytest.raises(NotTrusted, match="put in another's place"):
        serving(store, trust, "channels", "dev")
    assert brought_up(store, trust) == (
        "champions/channels/dev.json was removed: the ledger has no champion and the file was not readable",
    )


def test_a_projection_never_goes_backwards_and_betrays_a_cut_off_ledger(store, signer, trust):
    grown(store, signer, "v1", "v2")
    brought_up(store, trust)
    path_of(store, 2).unlink()
    with pytest.raises(HomeDamaged, match="names entry 2, but the newest of that ring in the ledger is 1"):
        brought_up(store, trust)
    assert serving(store, trust, "channels", "dev").version == "v2"


def test_of_two_promotions_at_once_one_wins(store, keys, trust):
    service_signer(keys)
    script = """
import sys
from pathlib import Path
from tasks.adapters import anchors, ledger
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer
from tasks.core.values import Entry
from tasks.errors import LedgerMoved
store, signer = DirectoryStore(Path(sys.argv[1])), service_signer(Path(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    key = sys.argv[3] + line
    drafted = Entry("channels", 0, "promotion", "dev", key, "d", (), "e", "p", "policy", "r", "now", "", key)
    try:
        ledger.append(store, signer, drafted, int(line) - 1)
        print("won", flush=True)
    except LedgerMoved:
        print("lost", flush=True)
"""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(store.root), str(keys), name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    assert {racer.stdout.readline() for racer in racers} == {"ready\n"}
    for number in range(1, 11):
        for racer in racers:
            racer.stdin.write(f"{number}\n")
            racer.stdin.flush()
        assert sorted(racer.stdout.readline() for racer in racers) == ["lost\n"] * 3 + ["won\n"]
    for racer in racers:
        racer.communicate()
    assert ledger.verify(store, trust, "channels") is None
    assert ledger.length(store, "channels") == 10


def test_an_entry_forged_without_the_key_is_never_the_champion(store, signer, trust):
    (first,) = grown(store, signer, "v1")
    forged = replace(ledger.link(draft("evil"), first), reason="trust me")
    store.put("ledger/channels/000002.json", ledger.sealed(Signer(Ed25519PrivateKey.generate()), forged))
    with pytest.raises(NotTrusted):
        ledger.champion(store, "channels", "dev", trust)
