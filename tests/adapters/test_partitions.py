"""Days in a real store: replaced as a whole, never appended to, and never what somebody else put there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import pytest

from tasks.adapters import frames, partitions
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.adapters.store import read_bytes
from tasks.core.partitions import Partition, Table
from tasks.errors import Conflict, HomeDamaged, NotTrusted


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


class Home:
    def __init__(self, folder):
        self.folder, self.store = folder, DirectoryStore(folder / "store")
        self.signer = service_signer(folder / "keys")
        self.trust = trusted_keys(folder / "keys")

    def table(self, *parts):
        blobs = [
            frames.keep(self.store, pl.DataFrame({"n": part}), self.folder, str(i)) for i, part in enumerate(parts)
        ]
        return Table(tuple(blobs), sum(map(len, parts)))

    def day(self, *parts, run="r1"):
        return Partition("predictions", "shops", "2026-11-21", "prod", run, {"scored": self.table(*parts)}, {})

    def publish(self, day, replaces=None):
        stood = partitions.standing(self.store, "predictions", "shops", "2026-11-21", "prod")
        replaces = stood if replaces is None else replaces
        return partitions.publish(self.store, self.signer, day, source=self.store, replaces=replaces)

    def rows(self):
        day = partitions.read(self.store, self.trust, "predictions", "shops", "2026-11-21", "prod")
        return partitions.scan(self.store, day.tables["scored"]).collect()["n"].to_list()


def test_the_rows_of_a_day_come_back_in_order(home):
    assert home.publish(home.day([3, 1], [2]))
    assert home.rows() == [3, 1, 2]


def test_the_same_day_again_changes_nothing_and_another_replaces_all_of_it(home):
    home.publish(home.day([1, 2, 3]))
    assert not home.publish(home.day([1, 2, 3]))
    assert home.publish(home.day([4], run="r2"))
    assert home.rows() == [4]


def test_who_comes_second_overwrites_nothing_he_has_not_seen(home):
    home.publish(home.day([1]))
    with pytest.raises(Conflict, match="published by another run while this one was at work"):
        home.publish(home.day([2], run="r2"), replaces="")
    assert home.rows() == [1]
    assert not home.publish(home.day([1]), replaces=""), "the same bytes are no conflict"


def test_of_eight_at_once_one_day_is_published(home):
    days = [home.day([number], run=f"r{number}") for number in range(8)]

    def attempt(day):
        try:
            return home.publish(day, replaces="")
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as racers:
        ended = list(racers.map(attempt, days))
    assert ended.count(True) == 1 and ended.count(None) == 7
    assert home.rows() == [ended.index(True)]


def test_a_day_that_was_not_published_is_none(home):
    assert partitions.read(home.store, home.trust, "predictions", "shops", "2026-11-21", "prod") is None


def test_a_foreign_cut_or_misplaced_manifest_is_refused(home, tmp_path):
    day = home.day([1])
    partitions.publish(home.store, service_signer(tmp_path / "stranger"), day, source=home.store, replaces="")
    with pytest.raises(NotTrusted):
        home.rows()
    home.publish(day)
    content = read_bytes(home.store, day.key)
    home.store.put(day.key, content[: len(content) // 2])
    with pytest.raises(HomeDamaged, match="truncated or garbled"):
        home.rows()
    home.store.put(replace(day, name="qa").key, content)
    with pytest.raises(NotTrusted, match="put in another's place"):
        partitions.read(home.store, home.trust, "predictions", "shops", "2026-11-21", "qa")


def test_a_changed_part_is_noticed(home):
    day = home.day([1, 2])
    home.publish(day)
    path = home.store.local_path(f"blobs/sha256/{(part := day.tables['scored'].parts[0].digest)[:2]}/{part}")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(HomeDamaged, match="damaged"):
        home.rows()
