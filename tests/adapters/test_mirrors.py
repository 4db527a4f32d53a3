from pathlib import Path

import pytest

from tasks.adapters import bundles, ledger, mirrors, partitions, projections, timetables
from tasks.adapters.blobs import blob_key, put_blob
from tasks.adapters.directory import DirectoryStore
from tasks.core.partitions import Partition, Table
from tasks.core.stores import divergences
from tasks.errors import HomeDamaged, Unreachable
from tests.released import Released

AT = "2026-11-21T12:00:00+00:00"


@pytest.fixture
def shop(tmp_path):
    return Released(tmp_path)


@pytest.fixture
def mirror(tmp_path):
    return DirectoryStore(tmp_path / "mirror")


@pytest.fixture
def dead(tmp_path):
    """A store on a disk that is not there: its folder lies below a file."""
    (tmp_path / "file").write_text("")
    return DirectoryStore(tmp_path / "file" / "store")


def files(store: DirectoryStore) -> dict[str, bytes]:
    return {key: (store.root / key).read_bytes() for key in store.list("") if not key.startswith("mirrors/")}


def replicated(shop, version, *others):
    return mirrors.replicate(shop.store, others, shop.trust, shop.workload, version, AT)


def look(shop, store):
    return mirrors.look(shop.store, store, shop.trust)


def follow(shop, *others, ring="prod"):
    return mirrors.follow(shop.store, others, shop.trust, shop.workload, ring)


def test_a_bundle_is_in_every_store_before_anything_points_at_it(shop, mirror):
    challenger = shop.publish("new")
    assert replicated(shop, challenger.version, mirror).agreed == 2
    opened = bundles.open_bundle(mirror, shop.trust, "shops", challenger.version)
    assert opened.read("model.txt") == b"new"
    assert look(shop, mirror).shown == ()


def test_a_second_version_writes_only_what_changed(shop, mirror):
    replicated(shop, shop.publish("new").version, mirror)
    before = {path: path.stat().st_mtime_ns for path in mirror.root.rglob("blobs/sha256/*/*")}
    replicated(shop, shop.publish("newer").version, mirror)
    after = {path: path.stat().st_mtime_ns for path in mirror.root.rglob("blobs/sha256/*/*")}
    assert len(before) == 1
    assert {path: after[path] for path in before} == before
    assert len(after) == 2


def test_one_store_that_does_not_answer_is_named_and_stops_what_wants_all_of_them(shop, mirror, dead):
    found = replicated(shop, shop.publish("new").version, mirror, dead)
    assert [each.uri for each in found.laggards] == [dead.uri]
    assert mirrors.hold_to(found, 2, "new") is found
    with pytest.raises(Unreachable, match=f"wants it in 3 stores, 2 of 3 stores hold it; {dead.uri} does not"):
        mirrors.hold_to(found, None, "new")


def test_a_damaged_copy_is_written_again(shop, mirror):
    challenger = shop.publish("new")
    replicated(shop, challenger.version, mirror)
    (path,) = mirror.root.rglob("blobs/sha256/*/*")
    path.write_bytes(b"bad")
    assert replicated(shop, challenger.version, mirror).agreed == 2
    assert path.read_bytes() == b"new"


def test_readers_of_a_mirror_see_what_the_ledger_says(shop, mirror):
    shop.promote("old")
    new = shop.promote("new")
    assert follow(shop, mirror) == (
        f"{mirror.uri}: champions/shops/prod.json now names {new} (entry 2); it named nothing",
    )
    assert projections.serving(mirror, shop.trust, "shops", "prod").version == new
    assert ledger.verify(mirror, shop.trust, "shops") is None
    assert [*divergences(look(shop, shop.store), look(shop, mirror))] == []
    assert follow(shop, mirror) == ()


def test_a_rollback_reaches_a_mirror_that_never_had_the_old_version(shop, mirror):
    old, new = shop.promote("old"), shop.promote("new")
    replicated(shop, new, mirror)
    shop.back()
    follow(shop, mirror)
    assert projections.serving(mirror, shop.trust, "shops", "prod").version == old
    assert bundles.open_bundle(mirror, shop.trust, "shops", old).read("model.txt") == b"old"


def test_a_mirror_that_does_not_answer_stays_behind_and_is_told_of(shop, mirror, dead, caplog):
    shop.promote("new")
    changes = follow(shop, dead, mirror)
    assert changes[0] == f"{dead.uri} stays behind"
    assert "When it is back: greenlight stores repair" in caplog.text
    assert projections.serving(mirror, shop.trust, "shops", "prod") is not None
    assert [*divergences(look(shop, shop.store), look(shop, dead))] != []


def test_a_ledger_that_was_written_by_somebody_else_is_never_written_over(shop, mirror, caplog):
    shop.promote("new")
    mirror.put(ledger.entry_key("shops", 1), b"another")
    assert follow(shop, mirror) == (f"{mirror.uri} stays behind",)
    with pytest.raises(HomeDamaged, match="is another entry than the primary's"):
        mirrors.repair(shop.store, mirror, AT)
    assert (mirror.root / "ledger/shops/000001.json").read_bytes() == b"another"


def test_a_primary_whose_end_was_cut_off_is_not_copied_over_its_mirror(shop, mirror):
    shop.promote("old")
    shop.promote("new")
    follow(shop, mirror)
    shop.store.delete(ledger.entry_key("shops", 2))
    with pytest.raises(HomeDamaged, match=r"2 entries in .*mirror and 1 in the primary"):
        mirrors.repair(shop.store, mirror, AT)
    assert "shops: 1 ledger entries ahead of the primary" in divergences(look(shop, shop.store), look(shop, mirror))


def test_repair_makes_a_whole_copy_and_the_second_time_writes_nothing(shop, mirror):
    shop.promote("old")
    shop.promote("new")
    shop.store.put("decisions/shops/one.json", b"{}")
    shop.store.put("stages/memo.json", b"{}")
    done = mirrors.repair(shop.store, mirror, AT)
    wanted = {key: data for key, data in files(shop.store).items() if not key.startswith("stages/")}
    assert files(mirror) == wanted
    assert (done.copied, done.bytes) == (len(wanted), sum(map(len, wanted.values())))
    assert mirrors.repair(shop.store, mirror, AT).copied == 0
    assert look(shop, mirror).verified_at == AT


@pytest.mark.parametrize("hurt", ["blobs/sha256", "champions/shops", "bundles/shops", "decisions"])
def test_what_is_missing_or_altered_in_a_mirror_diverges_or_is_healed(shop, mirror, hurt):
    shop.promote("new")
    shop.store.put("decisions/one.json", b"{}")
    mirrors.repair(shop.store, mirror, AT)
    for number, path in enumerate(sorted(path for path in (mirror.root / hurt).rglob("*") if path.is_file())):
        path.unlink() if number else path.write_bytes(b"?")
    assert mirrors.repair(shop.store, mirror, AT).copied
    assert files(mirror) == files(shop.store)


def test_a_mirror_without_a_file_of_the_champion_is_not_whole(shop, mirror):
    shop.promote("new")
    mirrors.repair(shop.store, mirror, AT)
    blob = bundles.read_manifest(mirror, shop.trust, "shops", shop.seen()).files["model.txt"]
    mirror.delete(blob_key(blob.digest))
    assert [*divergences(look(shop, shop.store), look(shop, mirror))] == [
        f"shops in prod: files of {shop.seen()} are missing or cut"
    ]


def test_the_whole_of_it_can_be_restored_from_a_mirror_alone(shop, mirror, tmp_path):
    shop.promote("old")
    new = shop.promote("new")
    mirrors.repair(shop.store, mirror, AT)
    again = DirectoryStore(Path(tmp_path / "again"))
    mirrors.repair(mirror, again, AT)
    assert projections.serving(again, shop.trust, "shops", "prod").version == new
    assert ledger.read(again, "shops", shop.trust) == shop.entries()


def day(shop, date, rows=b"rows", kind="predictions"):
    """Publish a day with one part, and return where its manifest lies."""
    tables = {"scored": Table((put_blob(shop.store, rows),), 1)}
    made = Partition(kind, "shops", date, "prod", rows.decode(), tables, {})
    stood = partitions.standing(shop.store, kind, "shops", date, "prod")
    partitions.publish(shop.store, shop.signer, made, source=shop.store, replaces=stood)
    return made.key


def carry(shop, key, *others, beside=()):
    return mirrors.carry(shop.store, others, shop.trust, key, beside)


@pytest.mark.parametrize("kind", ["predictions", "reports", "timetables"])
def test_a_published_day_is_whole_in_every_mirror_that_answers_and_who_does_not_is_named(
    shop, mirror, dead, kind, caplog
):
    key = day(shop, "2026-11-21", kind=kind)
    shop.store.put("reports/shops/v-prod.html", b"<p>")
    assert carry(shop, key, dead, mirror, beside=["reports/shops/v-prod.html"]) == (f"{dead.uri} stays behind",)
    assert f"{dead.uri} lacks {key}" in caplog.text and "greenlight stores repair" in caplog.text
    assert files(mirror) == files(shop.store)
    assert [*divergences(look(shop, shop.store), look(shop, mirror))] == []


def test_a_timetable_is_carried_with_what_it_was_made_of_and_the_copies_people_open(shop, mirror, dead):
    made_of, slots = put_blob(shop.store, b"answers"), put_blob(shop.store, b"slots")
    tables = {"slots": Table((slots,), 1)}
    about = {"answers": made_of.digest}
    which = ("shops", "2026-11-23", "prod")
    partitions.publish(
        shop.store, shop.signer, Partition("timetables", *which, "run", tables, about), source=shop.store, replaces=""
    )
    shop.store.put("timetables/shops/2026-11-23-prod.html", b"<p>")
    shop.store.put("timetables/shops/2026-11-30-prod.html", b"<p>of another week")
    assert timetables.carry(shop.store, (mirror, dead), shop.trust, *which) == (f"{dead.uri} stays behind",)
    wanted = files(shop.store)
    del wanted["timetables/shops/2026-11-30-prod.html"]
    assert files(mirror) == wanted


def test_a_day_scored_again_replaces_the_mirrors_and_the_blob_comes_before_its_manifest(shop, mirror, monkeypatch):
    carry(shop, day(shop, "2026-11-21"), mirror)
    key = day(shop, "2026-11-21", rows=b"other rows")
    written = []
    put = DirectoryStore.put
    monkeypatch.setattr(
        DirectoryStore, "put", lambda self, at, *a, **k: (written.append(at), put(self, at, *a, **k))[1]
    )
    assert [*divergences(look(shop, shop.store), look(shop, mirror))] == [
        f"1 of 1 published days are missing or not the same, newest {key}"
    ]
    assert carry(shop, key, mirror) == ()
    assert [each.partition("/")[0] for each in written] == ["blobs", "predictions"]
    assert partitions.read(mirror, shop.trust, "predictions", "shops", "2026-11-21", "prod").run == "other rows"


def test_a_mirror_that_missed_a_day_diverges_until_it_is_repaired(shop, mirror):
    first, second = day(shop, "2026-11-20"), day(shop, "2026-11-21", rows=b"more")
    carry(shop, first, mirror)
    assert [*divergences(look(shop, shop.store), look(shop, mirror))] == [
        f"1 of 2 published days are missing or not the same, newest {second}"
    ]
    mirrors.repair(shop.store, mirror, AT)
    assert [*divergences(look(shop, shop.store), look(shop, mirror))] == []
