"""Files of slots and programmes: what is read out of them, and the sentence for what is wrong, by row and column."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters.timetable_files import Files, read
from tasks.core.timetable.problem import Rules, Window
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.broadcast import BROADCAST
from tasks.workloads.channels import CHANNELS

MONDAY = date(2026, 6, 29)
SLOTS = "slot,date,start,minutes,network,advertisers,available,kept_for\n"
SHOWS = "programme,genre,minutes,uses,restricted,rights,unavailable,excludes,promo_spots\n"
ONE_SLOT = SLOTS + "early,2026-06-29,20:00,60,N,Bank; Toys,,\n"
ONE_SHOW = SHOWS + "A,Drama,60,2,yes,2026-06-01..2026-06-30;2026-07-05..2026-07-09,2026-07-06,Toys,4\n"


@pytest.fixture
def asked(tmp_path):
    """Read the files written with these texts."""

    def ask(slots: str = ONE_SLOT, programmes: str = ONE_SHOW, current: str = "", days: int = 7, spec=BROADCAST):
        texts = {"slots": slots, "programmes": programmes, "current": current}
        paths = {name: tmp_path / f"{name}.csv" for name, text in texts.items() if text}
        for name, path in paths.items():
            path.write_text(texts[name])
        return read(spec, Files(**paths), MONDAY, days)

    return ask


def test_every_column_is_read(asked):
    found = asked(current="slot,programme\nearly,A\n")
    (slot,), (show,) = found.slots, found.programmes
    assert (slot.name, slot.day, slot.start, slot.minutes) == ("early", MONDAY, datetime(2026, 6, 29, 20), 60)
    assert slot.advertisers == {"Bank", "Toys"} and slot.available and slot.kept_for is None
    assert (show.genre, show.uses, show.restricted, show.excludes) == ("Drama", 2, True, {"Toys"})
    windows = Window(date(2026, 6, 1), date(2026, 6, 30)), Window(date(2026, 7, 5), date(2026, 7, 9))
    assert show.rights == windows and show.unavailable == {date(2026, 7, 6)}
    assert found.of_slots == {"network": ("N",), "country": (None,)}
    assert found.of_programmes == {"kind": (None,), "promo_spots": ("4",)} and found.current == ("A",)


def test_a_weekday_is_filled_every_week_and_a_night_belongs_to_the_evening_before(asked):
    found = asked("weekday,start,minutes\nMon,0:30,30\nmonday,20:00,60\n", days=8)
    assert [slot.name for slot in found.slots] == [
        f"2026-{each}" for each in ("06-29 20:00", "06-29 00:30", "07-06 20:00", "07-06 00:30")
    ]
    assert found.slots[1].day == MONDAY and found.slots[1].start == datetime(2026, 6, 30, 0, 30)


def test_parquet_may_have_real_numbers_dates_and_lists(tmp_path):
    slots = pl.DataFrame({"date": [MONDAY], "start": ["20:00"], "minutes": [60], "advertisers": [["Bank", "Toys"]]})
    slots.write_parquet(tmp_path / "slots.parquet")
    (tmp_path / "shows.csv").write_text(ONE_SHOW)
    found = read(BROADCAST, Files(tmp_path / "slots.parquet", tmp_path / "shows.csv"), MONDAY, 1)
    assert found.slots[0].advertisers == {"Bank", "Toys"} and found.slots[0].minutes == 60


def test_the_demo_is_read_and_what_is_on_now_is_asked_of_whatever_the_rules_say(tmp_path):
    paths = {}
    for name, table in BROADCAST.airtime.demo(300, 7).items():
        paths[name] = tmp_path / f"{name}.csv"
        table.write_csv(paths[name])
    found = read(BROADCAST, Files(**paths), MONDAY, 7)
    assert len(found.slots) == 32 and None not in found.current
    # Nothing of 1 to 2 minutes may be shown, so what is left are the pairs on now.
    assert len(found.pairs(Rules(max_minutes=2))) == 32 < len(found.pairs(Rules()))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slots": "date,minutes\n2026-06-29,60\n"}, "slots.csv: it has no column start; found date, minutes; wanted"),
        ({"slots": ONE_SLOT.replace("available", "avialable")}, "slots.csv: nobody knows its column avialable"),
        ({"slots": SLOTS}, "slots.csv has a header and 0 rows; wanted at least 1"),
        ({"slots": "\n"}, "slots.csv is empty"),
        ({"slots": ONE_SLOT.replace("20:00", "8 pm")}, "row 2, column start: found '8 pm'; wanted a time as 20:15"),
        ({"slots": ONE_SLOT.replace(",60,", ",an hour,")}, "row 2, column minutes: found 'an hour'; wanted a whole"),
        ({"slots": ONE_SLOT.replace(",60,", ",,")}, "row 2, column minutes: found ''"),
        ({"slots": ONE_SLOT.replace(",60,", ",-5,")}, "row 2, column minutes: found '-5'"),
        ({"slots": ONE_SLOT.replace("2026-06-29", "")}, "row 2: found date None and weekday None; wanted one"),
        ({"slots": ONE_SLOT.replace("2026", "2027")}, "none of its 1 rows is a slot between 2026-06-29 and 2026-07-05"),
        ({"slots": ONE_SLOT + "late,2026-06-29,20:30,60,N,,,\n"}, "'late' starts at 2026-06-29 20:30:00 before"),
        ({"slots": ONE_SLOT + "early,2026-06-30,20:30,60,N,,,\n"}, "slot 'early' is there 2 times"),
        ({"slots": ONE_SLOT + "late,2026-06-30,20:30,60,M,,,\n"}, "column network has M, N; wanted 1 alone"),
        ({"slots": ONE_SLOT.replace(",,\n", ",maybe,\n")}, "row 2, column available: found 'maybe'; wanted yes or no"),
        ({"slots": ONE_SLOT.replace(",,\n", ",,B\n")}, "kept for 'B', which is no programme"),
        ({"programmes": ONE_SHOW + "A,News,30,,,,,,\n"}, "programme 'A' is there 2 times"),
        ({"programmes": ONE_SHOW.replace("..2026-06-30", "")}, "row 2, column rights: found '2026-06-01;2026-07-05"),
        ({"programmes": ONE_SHOW.replace("..2026-06-30", "..2026-05-30")}, "column rights"),
        ({"programmes": ONE_SHOW.replace("2026-07-06", "tomorrow")}, "column unavailable: found 'tomorrow'"),
        ({"programmes": ONE_SHOW.replace("Toys,4", "Toys,few")}, "row 2, column promo_spots: found 'few'"),
        ({"programmes": ONE_SHOW.replace("A,Drama", "A,")}, "row 2, column genre: found ''; wanted a name"),
        ({"current": "slot,programme\nlate,A\n"}, "none of its 1 slots is one of the 1 asked for"),
        ({"current": "slot,programme\nearly,B\n"}, "row 2: 'B' is none of the 1 programmes"),
        ({"current": "slot,programme\nearly,A\nearly,A\n"}, "row 3: slot 'early' is there twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_file_row_and_column(asked, wrong, said):
    with pytest.raises(SourceUnusable) as refused:
        asked(**wrong)
    assert said in str(refused.value)


def test_a_wrong_path_no_days_and_a_workload_without_airings_are_refused(asked):
    with pytest.raises(SourceUnusable, match=r"there is no file nowhere\.csv"):
        read(BROADCAST, Files(Path("nowhere.csv"), Path("nowhere.csv")), MONDAY, 7)
    with pytest.raises(BadRequest, match="of 0 days was asked for; wanted 1 to 366"):
        asked(days=0)
    with pytest.raises(BadRequest, match="the rows of channels are no airings"):
        asked(spec=CHANNELS)
