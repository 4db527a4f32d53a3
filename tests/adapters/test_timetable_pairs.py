"""What the models are told of a programme in a slot: what was known before the week began, and nothing of the week."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.adapters import frames
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.timetable_pairs import PAIR, features
from tasks.core.timetable.asked import Asked
from tasks.core.timetable.problem import Programme, Rules, Slot
from tasks.workloads.broadcast import BROADCAST
from tasks.workloads.spec import POLARS_TYPES

MONDAY = datetime(2026, 6, 29, 20)
SCHEMA = {column.name: POLARS_TYPES[column.type] for column in BROADCAST.columns}


def slot(days: int) -> Slot:
    at = MONDAY + timedelta(days=days)
    return Slot(f"{days}", at.date(), at, 60)


ASKED = Asked(
    slots=(slot(0), slot(1), slot(7)),
    programmes=(Programme("Known", "Drama", 60), Programme("New", "Quiz", 50)),
    of_slots={"network": ("N",) * 3, "country": ("US",) * 3},
    of_programmes={"kind": ("premiere", None), "promo_spots": ("4", None)},
)


def airing(days_before: int, audience: int, name: str = "Known") -> dict:
    at = (MONDAY - timedelta(days=days_before)).replace(tzinfo=UTC)
    return {"programme": name, "airs_at": at, "slot_start": "20:00", "network": "N", "audience": audience}


@pytest.fixture
def told(tmp_path):
    """Return what is told of every pair, by programme and slot, after these airings."""

    def tell(*airings: dict, asked: Asked = ASKED) -> dict[tuple[int, int], dict]:
        store = DirectoryStore(tmp_path / "store")
        accepted = frames.keep(store, pl.DataFrame(list(airings), schema=SCHEMA), tmp_path, "accepted")
        pairs = asked.pairs(Rules())
        rows = pl.concat(list(features(store, BROADCAST, accepted, asked, pairs))).to_dicts()
        return {tuple(pairs[row.pop(PAIR)].tolist()): row for row in rows}

    return tell


def test_a_pair_knows_its_programme_and_its_slot(told):
    found = told(airing(7, 100), airing(14, 300))
    known = found[0, 0]
    assert (known["previous_audience"], known["recent_audience"], known["slot_audience"]) == (100, 200, 200)
    assert (known["airings_before"], known["days_since_previous"], known["promo_spots"]) == (2, 7, 4)
    assert (known["slot"], known["genre"], known["kind"], known["slot_minutes"]) == (
        "N Mon 20",
        "Drama",
        "premiere",
        60,
    )
    new = found[1, 0]
    assert new["previous_audience"] is None and new["slot_audience"] == 200 and new["airings_before"] == 0


def test_no_pair_is_taken_for_an_airing_by_another(told):
    alone = replace(ASKED, slots=ASKED.slots[2:], of_slots={"network": ("N",), "country": ("US",)})
    (by_itself,) = [row for pair, row in told(airing(7, 100), airing(14, 300), asked=alone).items() if pair == (0, 0)]
    among = told(airing(7, 100), airing(14, 300))[0, 2]
    assert among == by_itself and among["airings_before"] == 2 and among["days_since_previous"] == 14
    assert all(among[name] is None for name in BROADCAST.airtime.by_neighbours)


def test_nothing_that_came_after_the_first_day_began_is_known(told):
    after = airing(0, 9_999), airing(-1, 9_999, "New"), airing(-3, 9_999)
    assert told(airing(7, 100), *after) == told(airing(7, 100))


def test_pairs_that_may_not_be_are_not_asked():
    long = replace(ASKED, programmes=(Programme("Known", "Drama", 61), Programme("New", "Quiz", 50, rights=())))
    assert long.pairs(Rules()).tolist() == [[1, 0], [1, 1], [1, 2]]
    values = long.table(long.pairs(Rules()), np.array([1.0, 2.0, 3.0]))
    assert np.isnan(values[0]).all() and values[1].tolist() == [1.0, 2.0, 3.0]
    assert ASKED.slots[0].day == date(2026, 6, 29)
