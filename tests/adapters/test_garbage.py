"""A collection deletes what nothing names, a grace later; never what served, nor what is being published."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.adapters import bundles, challengers, counting, ledger, measured, partitions, sweeps, watch
from tasks.adapters.blobs import blob_key, describe_blob, has_blob, put_blob, put_blobs
from tasks.adapters.bundles import bundle_key, open_bundle
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.garbage import collect
from tasks.adapters.memo import remember, stage_key
from tasks.adapters.serving import Serving
from tasks.adapters.signing import trusted_keys
from tasks.core import garbage
from tasks.core.batch_counts import count_rows
from tasks.core.digests import canonical_json
from tasks.core.garbage import Sweep
from tasks.core.manifest import About
from tasks.core.partitions import Partition, Table
from tasks.core.values import Blob
from tasks.core.watch import Counted
from tasks.errors import BadRequest, Conflict, HomeDamaged
from tests.builders import shops
from tests.contesting import SPEC, Home
from tests.released import Released

NOW, HOURS = timedelta(0), timedelta(hours=24)


@dataclass(frozen=True)
class Kept:
    """What a stage leaves."""

    files: Mapping[str, Blob]


@pytest.fixture
def shop(tmp_path):
    return Released(tmp_path / "home")


def collected(shop, grace=NOW, keep=None, dry_run=False):
    return collect(shop.store, shop.trust, grace=grace, keep=keep, dry_run=dry_run)


def published(shop, name, at):
    """Publish a challenger with evidence that names rows, as a run does; return its version and its blobs."""
    rows = put_blob(shop.store, f"rows of {name}".encode())
    evidence = canonical_json({"rows": rows, "pad": "x" * 80})
    files = {"model.txt": f"model {name}".encode(), "evidence.json": evidence}
    made = bundles.publish(shop.store, shop.signer, "shops", files, About(("sales",)))
    measured.note(shop.store, shop.signer, "shops", made.version, at)
    shop.store.put(f"stages/shops/train/{name}.json", canonical_json({"rows": rows}))
    shop.store.put(f"requests/shops/dev/{name}.json", canonical_json({"evidence": put_blob(shop.store, evidence)}))
    return made.version, {rows, *open_bundle(shop.store, shop.trust, "shops", made.version).manifest.files.values()}


def there(shop, blobs):
    return {has_blob(shop.store, blob) for blob in blobs}


def age(shop, hours):
    """Let the marks be that much older."""
    sweep = sweeps.read(shop.store)
    since = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    shop.store.put(sweeps.KEY, canonical_json(replace(sweep, marks=dict.fromkeys(sweep.marks, since))))


def test_a_blob_that_nothing_names_goes_after_its_grace(shop):
    shop.promote("one")
    lost = put_blob(shop.store, b"lost")
    assert (collected(shop, HOURS).unnamed, there(shop, [lost])) == (1, {True})
    age(shop, 23)
    assert collected(shop, HOURS).deleted == ()
    age(shop, 25)
    done = collected(shop, HOURS)
    assert (done.deleted, done.deleted_bytes, there(shop, [lost])) == ((lost.digest,), 4, {False})
    assert collected(shop, HOURS).unnamed == 0


def test_a_blob_that_is_named_again_has_its_whole_grace_anew(shop):
    lost = put_blob(shop.store, b"lost")
    collected(shop, HOURS)
    age(shop, 25)
    shop.store.put("snapshots/shops/a.json", canonical_json({"rows": lost}))
    assert collected(shop, HOURS).unnamed == 0
    shop.store.delete("snapshots/shops/a.json")
    assert collected(shop, HOURS).deleted == () and there(shop, [lost]) == {True}


def test_a_dry_run_lists_and_changes_nothing(shop):
    lost = put_blob(shop.store, b"lost")
    before = {key: shop.store.local_path(key).read_bytes() for key in shop.store.list("")}
    done = collected(shop, dry_run=True)
    assert (done.deleted, done.dry_run) == ((lost.digest,), True)
    # Within its grace it is listed all the same, though no collection has marked it yet.
    waits = collected(shop, HOURS, dry_run=True)
    assert (waits.deleted, set(waits.waiting), waits.unnamed) == ((), {lost.digest}, 1)
    assert {key: shop.store.local_path(key).read_bytes() for key in shop.store.list("")} == before


@pytest.mark.parametrize(
    "key",
    [
        "snapshots/shops/a.json",
        "stages/shops/train/a.json",
        "dossiers/shops/a.json",
        "reports/shops/a.html",
        "predictions/shops/2026-11-21/dev.json",
        "ledger/shops/000001.json",
        "kind/nobody/has/thought/of",
    ],
)
def test_what_any_record_names_stays_and_what_that_names_too(shop, key):
    inner = put_blob(shop.store, b"inner")
    outer = put_blob(shop.store, canonical_json({"inner": inner.digest}))
    shop.store.put(key, canonical_json({"outer": outer}))
    assert collect(shop.store, shop.trust, grace=NOW, keep=None, dry_run=False).deleted == ()
    assert there(shop, [inner, outer]) == {True}


def test_versions_beyond_the_last_are_retired_and_their_blobs_go_a_grace_later(shop):
    old, blobs = published(shop, "old", "2026-11-01T00:00:00+00:00")
    new, kept = published(shop, "new", "2026-11-02T00:00:00+00:00")
    first = collected(shop, HOURS, keep=1)
    assert first.retired == (bundle_key("shops", old),) and first.deleted == ()
    assert shop.store.head(bundle_key("shops", old)) is None and there(shop, blobs) == {True}
    age(shop, 25)
    assert set(collected(shop, HOURS, keep=1).deleted) == {blob.digest for blob in blobs}
    assert there(shop, kept) == {True}
    assert open_bundle(shop.store, shop.trust, "shops", new)
    assert [key for key in shop.store.list("stages/")] == ["stages/shops/train/new.json"]


def test_a_retired_version_that_is_published_again_is_whole(shop):
    old, _ = published(shop, "old", "2026-11-01T00:00:00+00:00")
    published(shop, "new", "2026-11-02T00:00:00+00:00")
    collected(shop, keep=1)
    again, blobs = published(shop, "old", "2026-11-01T00:00:00+00:00")
    assert again == old
    assert collected(shop).deleted == () and there(shop, blobs) == {True}


def test_what_ever_served_or_is_the_newest_is_never_retired(shop):
    served = [shop.promote(name) for name in ("one", "two", "three")]
    newest = shop.publish("newest")
    challengers.point(shop.store, newest)
    for number, version in enumerate((*served, newest.version)):
        measured.note(shop.store, shop.signer, "shops", version, f"2026-11-0{number + 1}T00:00:00+00:00")
    last, _ = published(shop, "last", "2026-11-20T00:00:00+00:00")
    collected(shop)
    assert collected(shop, keep=1).retired == ()
    for version in (*served, newest.version, last):
        assert open_bundle(shop.store, shop.trust, "shops", version)
    assert ledger.verify(shop.store, shop.trust, "shops") is None
    assert shop.back().entry.version == served[1]


def test_keeping_no_version_is_refused(shop):
    with pytest.raises(BadRequest, match="at least the last 1"):
        collected(shop, keep=0)


def test_two_collections_do_not_work_at_once(shop):
    until = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    shop.store.put(sweeps.KEY, canonical_json(Sweep(until=until)))
    with pytest.raises(Conflict, match="another collection is at work"):
        collected(shop)
    shop.store.put(sweeps.KEY, canonical_json(Sweep(until="2026-11-20T00:00:00+00:00")))
    assert collected(shop).deleted == ()


def test_a_garbled_note_is_named(shop):
    shop.store.put(sweeps.KEY, b"{")
    with pytest.raises(HomeDamaged, match=r"gc/sweep\.json in .* is garbled; delete it"):
        collected(shop)


def test_a_publisher_waits_for_what_is_deleted_and_uploads_it_again(shop):
    lost = put_blob(shop.store, b"model")
    until = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    shop.store.put(sweeps.KEY, canonical_json(Sweep(deleting=(lost.digest,), until=until)))
    done = threading.Event()

    def publish():
        bundles.publish(shop.store, shop.signer, "shops", {"model.txt": b"model"}, About(("sales",)))
        done.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    assert not done.wait(0.5)
    shop.store.delete(blob_key(lost.digest))
    shop.store.put(sweeps.KEY, canonical_json(Sweep()))
    publisher.join(120)
    assert done.is_set() and there(shop, [lost]) == {True}


def a_bundle(shop, number):
    made = bundles.publish(shop.store, shop.signer, "shops", {"a": b"shared", "b": number}, About(("sales",)))
    return bundle_key("shops", made.version), open_bundle(shop.store, shop.trust, "shops", made.version).manifest.files


def a_stage(shop, number):
    def compute():
        return Kept(put_blobs(shop.store, {"a": b"shared", "b": number}))

    inputs = {"number": number.decode()}
    found = remember(shop.store, shop.signer, "shops", "ingest", inputs, Kept, compute)
    return stage_key("shops", "ingest", inputs), found.value.files


def a_day(shop, number):
    source = DirectoryStore(shop.home / "elsewhere")
    blobs = put_blobs(source, {"a": b"shared", "b": number})
    day = Partition("predictions", "shops", "2026-11-21", "dev", "r", {"scored": Table(tuple(blobs.values()), 2)}, {})
    partitions.publish(shop.store, shop.signer, day, source=source, replaces="")
    return day.key, blobs


@pytest.mark.parametrize(
    "published_as", [a_bundle, *(pytest.param(a, marks=pytest.mark.slow) for a in (a_stage, a_day))]
)
def test_a_publication_racing_collections_is_always_whole(shop, published_as):
    over, troubles, deleted = threading.Event(), [], []
    shared = describe_blob(b"shared")

    def sweep():
        while not over.is_set():
            try:
                deleted.extend(collected(shop).deleted)
            except Exception as error:
                troubles.append(error)
                return

    collector = threading.Thread(target=sweep)
    collector.start()
    try:
        # However seldom this machine lets the collector at it.
        for number in itertools.count(1):
            key, blobs = published_as(shop, str(number % 3).encode())
            assert there(shop, blobs.values()) == {True}
            shop.store.delete(key)
            if troubles or (number >= 60 and deleted.count(shared.digest) > 3):
                break
    finally:
        over.set()
        collector.join()
    assert troubles == []


def test_what_a_batch_was_seen_as_outlives_a_collection(tmp_path):
    home = Home(tmp_path)
    entry, rows = home.champion(shops(240)), shops(240, seed=2)
    trust, taken = trusted_keys(home.keys), []
    serving = Serving(entry, open_bundle(home.store, trust, "shops", entry.version))
    counts = count_rows(rows, {}, counting.reference_of(serving.bundle)) | {"rows_in": 240, "rejected": 0}
    batch = Counted("batch", "somewhere", 240, 240, (), put_blob(home.store, canonical_json(counts)))

    class Collected(DirectoryStore):
        """Loses the batch's blobs at the last moment before they are named."""

        def put(self, key, source, **how):
            if key.startswith("drift/"):
                seen = json.loads(source)
                taken.extend(Blob(**seen[name]) for name in ("counts", "report"))
                for blob in taken:
                    self.delete(blob_key(blob.digest))
                super().put(sweeps.KEY, canonical_json(Sweep(number=1)))
            return super().put(key, source, **how)

    watch.observe(Collected(home.store.root), SPEC, serving, batch, "2026-11-21T00:00:00+00:00")
    assert len(taken) == 2 and {has_blob(home.store, blob) for blob in taken} == {True}


def test_digests_are_found_in_any_document():
    one, two = "a" * 64, "0" * 64
    raw = json.dumps({"x": [one, {"y": f"sha256:{two}"}], "long": "b" * 65, "short": "c" * 63}).encode()
    assert garbage.digests_in(raw) == {one, two}


def test_versions_are_retired_by_when_they_were_measured():
    dates = {"a": "2026-01-01", "b": "2026-01-03", "c": "2026-01-02", "undated": ""}
    assert list(garbage.retired(dates, 2, set())) == ["c", "a"]
    assert list(garbage.retired(dates, 2, {"a"})) == ["c"]
    assert list(garbage.retired(dates, 9, set())) == []


def test_a_blob_that_is_no_document_is_not_read(shop):
    inner = put_blob(shop.store, b"inner")
    table = put_blob(shop.store, b"PAR1" + inner.digest.encode() + b"PAR1")
    shop.store.put("snapshots/shops/a.json", canonical_json({"rows": table}))
    assert collected(shop).deleted == (inner.digest,)
    assert isinstance(table, Blob)
