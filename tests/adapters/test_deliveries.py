"""Files that land, in a folder or in S3, are taken in once by their bytes, each row once, killed or repeated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import deliveries, landing, tables
from tasks.adapters.cached import near
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.landing import dealt_with, landed
from tasks.adapters.settings import settings
from tasks.adapters.store import Store
from tasks.core.deliveries import WHY, Delivery, Span, may_share
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.video_stats import VIDEO_STATS
from tests.stores import at_once, placed

NOW = datetime(2026, 6, 30, tzinfo=UTC)


class Dock:
    """A landing place, a folder or a store's prefix; the store; and the source that is laid out from it."""

    def __init__(self, folder: Path, there: Store | None = None) -> None:
        self.folder, self.to, self.scratch = folder / "landing", folder / "arrived", folder / "scratch"
        for each in (self.folder, self.scratch):
            each.mkdir()
        self.store, self.there = DirectoryStore(folder / "store"), there

    @property
    def place(self) -> str:
        return self.there.uri if self.there else str(self.folder)

    def land(self, name: str, *looks: tuple[str, str, object]) -> None:
        rows = [{"id": video, "snapshot_utc": at, "view_count": str(views)} for video, at, views in looks]
        self.bring(name, pl.DataFrame(rows).write_csv().encode())

    def bring(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)
        if self.there:
            self.there.put(name, content)

    def rename(self, name: str, to: str) -> None:
        (self.folder / name).rename(self.folder / to)
        if self.there:
            self.there.put(to, self.folder / to)
            self.there.delete(name)

    def take(self, lateness_hours: float = 48, place: str = "") -> list[Delivery]:
        done, place = [], place or self.place
        backlog = deliveries.begin(self.store, "video_stats", place, lateness_hours)
        for each in landed(self.store, "video_stats", place, self.scratch):
            after = deliveries.take(self.store, VIDEO_STATS, each, backlog, self.scratch, now=NOW)
            done += [after.before[each.digest]] if after else []
            backlog = after or backlog
            dealt_with(self.store, "video_stats", each)
        deliveries.end(self.store, "video_stats", place)
        deliveries.gather(self.store, "video_stats", self.to)
        return done

    def tell(self, heard: list[str]) -> None:
        for each in deliveries.untold(self.store, "video_stats"):
            heard.append(each.digest)
            deliveries.told(self.store, each)

    @property
    def rows(self) -> list[tuple[str, int, int | None]]:
        found = pl.scan_parquet(self.to / "*.parquet").sort("observed_at", "video_id", "views")
        return found.select("video_id", pl.col("observed_at").dt.day(), "views").collect().rows()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def dock(request) -> Dock:
    return request.getfixturevalue(f"{request.param}_dock")


@pytest.fixture
def s3_dock(emulators, tmp_path, monkeypatch) -> Dock:
    return Dock(tmp_path, placed("s3", emulators, monkeypatch).open())


@pytest.fixture
def folder_dock(tmp_path: Path) -> Dock:
    return Dock(tmp_path)


def test_a_file_is_taken_in_once_whatever_it_is_called(dock: Dock) -> None:
    dock.land("one.csv", ("v", "2026-06-01 10:00:00", 5), ("v", "2026-06-02 10:00:00", 9))
    (first,) = dock.take()
    assert (first.rows_in, first.rows_taken, first.newest) == (2, 2, "2026-06-02T10:00:00+00:00")
    assert dock.take() == []
    dock.rename("one.csv", "renamed.csv")
    dock.bring("copy.csv", (dock.folder / "renamed.csv").read_bytes())
    assert dock.take() == [] and dock.rows == [("v", 1, 5), ("v", 2, 9)]


def test_a_file_that_is_replaced_by_other_bytes_brings_what_is_new_in_them(dock: Dock) -> None:
    dock.land("latest.csv", ("v", "2026-06-01 10:00:00", 5))
    dock.take()
    dock.land("latest.csv", ("v", "2026-06-01 10:00:00", 5), ("v", "2026-06-02 10:00:00", 9))
    (second,) = dock.take()
    assert (second.rows_taken, second.known) == (1, 1)
    assert dock.take() == [] and dock.rows == [("v", 1, 5), ("v", 2, 9)]


def test_a_row_that_comes_again_in_another_file_is_known_and_one_that_says_otherwise_is_left_to_the_contract(
    dock: Dock,
) -> None:
    dock.land("a.csv", ("v", "2026-06-01 10:00:00", 5), ("v", "2026-06-01 10:00:00", 5))
    dock.land(
        "b.csv", ("v", "2026-06-01 10:00:00", 5), ("v", "2026-06-02 10:00:00", 9), ("v", "2026-06-01 10:00:00", 6)
    )
    first, second = dock.take()
    assert (first.rows_taken, first.known) == (1, 1) and (second.rows_taken, second.known) == (2, 1)
    assert dock.rows == [("v", 1, 5), ("v", 1, 6), ("v", 2, 9)]


def test_a_row_without_a_moment_is_known_as_well_however_long_ago_it_came(dock: Dock) -> None:
    dock.land("a.csv", ("w", "", 7), ("v", "2026-06-01 10:00:00", 5))
    dock.take()
    for day in (2, 20):
        dock.land(f"{day}.csv", ("w", "", 7), ("v", f"2026-06-{day:02} 10:00:00", 9))
        (more,) = dock.take()
        assert (more.rows_taken, more.known) == (1, 1)
    assert dock.rows == [("w", None, 7), ("v", 1, 5), ("v", 2, 9), ("v", 20, 9)]


def test_rows_out_of_order_are_taken_until_the_watermark_and_set_aside_beyond_it(dock: Dock) -> None:
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
    dock.take()
    dock.land("b.csv", ("w", "2026-06-09 10:00:00", 5), ("w", "2026-06-08 09:59:00", 4), ("w", "someday", 3))
    (second,) = dock.take(lateness_hours=48)
    assert second.watermark == "2026-06-08T10:00:00+00:00"
    assert (second.rows_in, second.rows_taken, second.late, second.unreadable) == (3, 1, 1, 1)
    aside = pl.read_parquet(deliveries.blob_path(dock.store, second.aside))
    assert aside[WHY].to_list() == ["late", "unreadable"] and dock.rows == [("w", 9, 5), ("v", 10, 9)]


def test_a_row_of_the_watermarks_own_moment_is_taken_and_known_when_it_comes_again(dock: Dock) -> None:
    dock.land("a.csv", ("v", "2026-06-08 10:00:00", 9))
    dock.land("b.csv", ("v", "2026-06-10 10:00:00", 12))
    dock.take()
    dock.land("c.csv", *((video, "2026-06-08 10:00:00", 9) for video in "vw"), ("x", "2026-06-08 09:59:59", 9))
    (third,) = dock.take(lateness_hours=48)
    assert third.watermark == "2026-06-08T10:00:00+00:00"
    assert (third.rows_taken, third.known, third.late) == (1, 1, 1)
    assert dock.rows == [("v", 8, 9), ("w", 8, 9), ("v", 10, 12)]


def test_a_clock_that_is_ahead_is_set_aside_and_makes_no_other_row_late(dock: Dock) -> None:
    looks = (("v", "2026-06-10 10:00:00", 9), ("v", "2026-06-30 20:00:00", 9), ("v", "2099-01-01 00:00:00", 10))
    asked = (("v", "2026-07-06 10:00:00", ""), ("v", "2026-07-08 10:00:00", ""))
    dock.land("a.csv", *looks, *asked)
    (first,) = dock.take()
    dock.land("b.csv", ("w", "2026-06-09 10:00:00", 5))
    (second,) = dock.take()
    assert first.newest == "2026-06-10T10:00:00+00:00" and second.late == 0
    assert (first.rows_in, first.rows_taken, first.ahead) == (5, 3, 2)
    assert dock.rows == [("w", 9, 5), ("v", 10, 9), ("v", 30, 9), ("v", 6, None)]


def test_known_rows_are_read_of_the_deliveries_of_that_time_alone(folder_dock: Dock) -> None:
    folder_dock.land("a.csv", ("v", "2026-06-05 10:00:00", 1))
    (taken,) = folder_dock.take()
    rows = Span(datetime(2026, 6, 5, tzinfo=UTC), datetime(2026, 6, 7, tzinfo=UTC))
    for earliest, latest, watermark, shares in (
        ("2026-06-04", "2026-06-06", 1, True),
        ("2026-06-02", "2026-06-04", 1, False),
        ("2026-06-08", "2026-06-09", 1, False),
        ("2026-06-07", "2026-06-09", 1, True),
        ("2026-06-05", "2026-06-05", 6, False),
        ("", "2026-06-09", 1, True),
        ("", "", 6, True),
    ):
        times = {"earliest": earliest and f"{earliest}T00:00:00Z", "latest": latest and f"{latest}T00:00:00Z"}
        assert may_share(replace(taken, **times), rows, datetime(2026, 6, watermark, tzinfo=UTC)) == shares


def test_one_killed_before_its_turn_is_taken_in_by_the_next_and_one_killed_after_is_laid_out(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
    put = dock.store.put
    with monkeypatch.context() as patched:

        def killed(key, *rest, **how):
            if key.startswith("turns/"):
                raise KeyboardInterrupt
            return put(key, *rest, **how)

        patched.setattr(dock.store, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            dock.take()
    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "write_parquet", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            # Taken in again, and killed before it is laid out.
            patched.setattr(deliveries.frames, "write_parquet", write_for_blobs)
            dock.take()
    assert dock.take() == [] and dock.rows == [("v", 10, 9)]


def write_for_blobs(lazy: pl.LazyFrame, to: Path) -> int:
    from tasks.adapters.parquet import write_parquet

    return write_parquet(lazy, to)


def test_what_is_still_being_written_is_not_looked_at_and_a_missing_folder_is_named(dock: Dock) -> None:
    dock.land(".coming.csv", ("v", "2026-06-10 10:00:00", 9))
    assert dock.take() == []
    with pytest.raises(BadRequest, match="which is no folder"):
        dock.take(place=str(dock.folder / "elsewhere"))


def test_tables_follow_from_the_deliveries_in_whatever_order_and_are_the_same_bytes_again(folder_dock: Dock) -> None:
    dock = folder_dock
    dock.land("a.csv", ("v", "2026-06-10 10:05:00", 100), ("v", "2026-06-10 10:50:00", 130))
    dock.land("b.csv", ("v", "2026-06-10 12:50:00", 190), ("w", "2026-06-10 09:00:00", 5))
    dock.take()
    heights = tables.of_rows(dock.store, VIDEO_STATS, dock.scratch)
    assert heights == {"video_stats_processed": 4, "hourly_aggregations": 3, "daily_aggregations": 2}
    place = dock.store.local_path("tables/video_stats/hourly_aggregations.parquet")
    before, table = place.read_bytes(), pl.read_parquet(place)
    told = table.select("video_id", pl.col("begins").dt.hour(), "looks", "views", "views_gained_per_hour").rows()
    assert told == [("v", 10, 2, 130, None), ("v", 12, 1, 190, 30.0), ("w", 9, 1, 5, None)]
    tables.of_rows(dock.store, VIDEO_STATS, dock.scratch)
    assert place.read_bytes() == before


class Counted(DirectoryStore):
    """A store that counts what is read of it, and may die at one of its writes."""

    def __init__(self, root: Path, dies_at: int = 10**9) -> None:
        super().__init__(root)
        self.opened: list[str] = []
        self.writes, self.dies_at = 0, dies_at

    def open(self, key, start=0):
        self.opened.append(key)
        return super().open(key, start)

    def put(self, key, *rest, **how):
        self._write()
        return super().put(key, *rest, **how)

    def delete(self, key):
        self._write()
        super().delete(key)

    def _write(self) -> None:
        self.writes += 1
        if self.writes == self.dies_at:
            raise KeyboardInterrupt


def test_whether_a_file_is_known_costs_no_read_and_all_that_came_before_one(folder_dock: Dock) -> None:
    dock = folder_dock
    for day in range(10, 16):
        dock.land(f"{day}.csv", ("v", f"2026-06-{day} 10:00:00", day))
    dock.take(lateness_hours=999)
    dock.store = store = Counted(dock.folder.parent / "store")
    (found,) = {deliveries.is_known(store, "video_stats", each.digest) for each in landing_of(dock)}
    assert found and store.opened == []
    assert len(deliveries.known(store, "video_stats")) == 6
    assert store.opened == ["turns/video_stats.json", "deliveries/video_stats.json"]
    before = deliveries.known(DirectoryStore(store.root), "video_stats")
    store.delete("deliveries/video_stats.json")
    assert deliveries.known(store, "video_stats") == before


def landing_of(dock: Dock) -> list:
    return list(landed(dock.store, "video_stats", str(dock.folder), dock.scratch))


@pytest.mark.parametrize("lands_in", ["folder", pytest.param("store", marks=pytest.mark.slow)])
def test_killed_at_any_write_each_row_is_laid_out_once_and_each_delivery_told_of(tmp_path: Path, lands_in: str) -> None:
    for dies_at in range(1, 100):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        dock, heard = Dock(folder, DirectoryStore(folder / "bucket") if lands_in == "store" else None), []
        dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
        dock.land("b.csv", ("v", "2026-06-11 10:00:00", 12), ("v", "2026-06-10 10:00:00", 9))
        dock.store = store = Counted(folder / "store", dies_at)
        died = False
        try:
            dock.take()
            dock.tell(heard)
        except KeyboardInterrupt:
            died = True
        dock.store = DirectoryStore(store.root)
        dock.take()
        dock.tell(heard)
        assert dock.rows == [("v", 10, 9), ("v", 11, 12)]
        assert set(heard) == deliveries.known(dock.store, "video_stats").keys() and len(set(heard)) == 2
        assert deliveries.untold(dock.store, "video_stats") == []
        if not died:
            break
    # A backlog that begins and ends; a taken and an aside blob, a mark, a turn, a record, and an index each; two marks
    # that go, and two notes of a store's.
    assert dies_at > (16 if lands_in == "store" else 14)


def test_what_had_its_turn_is_laid_out_and_told_of_though_its_file_is_gone_before_it_is_recorded(
    folder_dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock, heard = folder_dock, []
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
    with monkeypatch.context() as patched:
        patched.setattr(deliveries, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            dock.take()
    (dock.folder / "a.csv").unlink()
    deliveries.gather(dock.store, "video_stats", dock.to)
    dock.tell(heard)
    assert dock.rows == [("v", 10, 9)] and len(heard) == 1


def test_an_object_is_fetched_once_and_known_in_a_folder_as_well(s3_dock: Dock) -> None:
    dock = s3_dock
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
    dock.there.put("day/copy.csv", dock.folder / "a.csv")
    dock.take()
    assert list(landed(dock.store, "video_stats", dock.place, dock.scratch)) == []
    assert len(list((dock.folder.parent / "store" / "fetched" / "video_stats").iterdir())) == 2
    assert dock.take(place=str(dock.folder)) == []


@pytest.mark.slow
def test_a_home_whose_store_is_in_s3_takes_in_once_what_lands_in_s3(emulators, tmp_path, monkeypatch) -> None:
    there, bucket = (placed("s3", emulators, monkeypatch).open() for _ in range(2))
    dock = Dock(tmp_path, there)
    dock.store = near(bucket, tmp_path / "home")
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
    dock.land("b.csv", ("v", "2026-06-10 10:00:00", 9), ("v", "2026-06-11 10:00:00", 12))
    assert [(each.rows_taken, each.known) for each in dock.take()] == [(1, 0), (1, 1)]
    assert dock.take() == [] and dock.rows == [("v", 10, 9), ("v", 11, 12)]


class Overtaken:
    """A store where an object is replaced between being looked at and being read, and another is deleted."""

    def __init__(self, there: Store) -> None:
        self.there, self.uri, self.head, self.list = there, there.uri, there.head, there.list

    def open(self, key: str):
        if key == "a.csv":
            self.there.put(key, b"id,snapshot_utc,view_count\nv,2026-06-11 10:00:00,12\n")
        else:
            self.there.delete(key)
        return self.there.open(key)


def test_objects_that_change_or_go_while_they_are_looked_at_are_taken_in_as_they_were_read(
    s3_dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = s3_dock
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9))
    dock.land("b.csv", ("w", "2026-06-10 10:00:00", 9))
    with monkeypatch.context() as patched:
        patched.setattr(landing, "open_store", lambda _: Overtaken(dock.there))
        assert [each.rows_taken for each in dock.take()] == [1]
    assert dock.rows == [("v", 11, 12)]
    assert dock.take() == [] and dock.rows == [("v", 11, 12)]


@pytest.fixture
def gathering(dock: Dock, monkeypatch: pytest.MonkeyPatch):
    """Take in as the flow does, in a home whose store is the dock's."""
    from tasks import gather

    monkeypatch.setenv("GREENLIGHT_HOME", str(dock.folder.parent))
    # To open the dock's store they were asked for once already.
    settings.cache_clear()
    return lambda lateness_hours=1e6: gather.take_in.fn("video_stats", dock.place, lateness_hours)


def test_of_two_that_take_in_at_once_each_file_and_each_row_is_taken_in_by_one(dock: Dock, gathering) -> None:
    for day in range(10, 14):
        dock.land(f"{day}.csv", ("v", "2026-06-10 10:00:00", 9), ("v", f"2026-06-{day} 12:00:00", day))
    both = at_once(lambda _: gathering(), 2)
    taken = [each for arrived in both for each in arrived.taken]
    assert len(taken) == 4 and sum(each.rows_taken for each in taken) == 5 and sum(each.known for each in taken) == 3
    assert gathering().taken == ()


def test_of_two_homes_on_one_store_that_take_in_at_once_each_row_is_taken_in_by_one(
    dock: Dock, gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Dock(make(dock.folder.parent / "other"))
    other.store, read = dock.store, deliveries.read_source
    other.land("b.csv", ("v", "2026-06-10 10:00:00", 9), ("v", "2026-06-12 10:00:00", 12))
    dock.land("a.csv", ("v", "2026-06-10 10:00:00", 9), ("v", "2026-06-11 10:00:00", 11))
    theirs: list[Delivery] = []

    def overtaken(*asked: object) -> object:
        monkeypatch.setattr(deliveries, "read_source", read)
        theirs.extend(other.take())
        return read(*asked)

    monkeypatch.setattr(deliveries, "read_source", overtaken)
    ours = gathering().taken
    assert [(each.rows_taken, each.known) for each in (*theirs, *ours)] == [(2, 0), (1, 1)]
    assert len(deliveries.known(dock.store, "video_stats")) == 2


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("killed_after", [0, 1, 9])
def test_a_backlog_makes_no_row_of_its_own_late_killed_or_not_and_what_lands_after_it_is_held_against_all_of_it(
    dock: Dock, gathering, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    from tasks import gather

    for day in range(1, 10):
        # looks-1, looks-10, looks-2: in the order of names a week goes back and forth.
        dock.land(f"looks-{day + 1}.csv", ("v", f"2026-06-{day:02} 10:00:00", day))
    taken, noted = [], gather.dealt_with

    def killed(*file: object) -> None:
        noted(*file)
        taken.append(file)
        if len(taken) == killed_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(gather, "dealt_with", killed)
        gathering(48)
    gathering(48)
    done = deliveries.known(dock.store, "video_stats").values()
    assert {(each.rows_taken, each.late, each.watermark) for each in done} == {(1, 0, "")} and len(done) == 9
    dock.land("more.csv", ("w", "2026-06-07 09:00:00", 1), ("w", "2026-06-07 11:00:00", 2))
    (more,) = gathering(48).taken
    assert (more.watermark, more.rows_taken, more.late) == ("2026-06-07T10:00:00+00:00", 1, 1)


def test_a_file_that_is_no_table_keeps_no_other_from_being_taken_in_and_is_named_each_time(
    dock: Dock, gathering
) -> None:
    from tasks.gather import refuse

    dock.bring("a.csv", b"")
    dock.bring("b.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    dock.land("c.csv", ("v", "2026-06-10 10:00:00", 9))
    dock.bring("d.xlsx", b"no table")
    dock.bring("e.csv", b"no,table\n1,2\n")
    assert [each.file for each in gathering().taken] == ["c.csv"]
    again = gathering()
    assert again.taken == () and len(again.refused) == 4
    words = r"^4 of the files at .*a\.csv.*: it is empty .*d\.xlsx.*: it is no table; .*; and 1 more; mend them"
    with pytest.raises(SourceUnusable, match=words) as told:
        refuse(again, dock.place)
    assert str(dock.folder.parent / "tmp") not in str(told.value)
