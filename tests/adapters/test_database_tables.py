"""The store's tables in a real PostgreSQL: by key, twice the same, an actual in its row, whole whatever is killed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import database_tables, tables
from tasks.adapters.database_tables import Written
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.postgres import _not_connected
from tasks.core.tables import predictions_key
from tasks.errors import AccessDenied, BadRequest, Unreachable
from tasks.workloads.video_stats import VIDEO_STATS
from tests.command_line import eventually
from tests.emulators import free_port
from tests.postgresql import PASSWORD, address, query, running

TABLE = "greenlight_video_stats_predictions"
KEY = predictions_key(VIDEO_STATS)
AT = datetime(2026, 6, 1, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def port():
    with running() as port:
        yield port


def url(port: int) -> str:
    return "postgresql://" + address(port, "mlflow")


def told(folder: Path, **actuals: float | None) -> Path:
    """Write a table of predictions, one video each, with what came true of it."""
    frame = pl.DataFrame(
        {
            "ring": "prod",
            "date": date(2026, 6, 1),
            "video_id": list(actuals),
            "observed_at": AT,
            "target": "views",
            "predicted": 1.5,
            "scored_by": "",
            "actual": list(actuals.values()),
            "was_learned": False,
        },
        schema_overrides={"actual": pl.Float64},
    )
    frame.write_parquet(folder / "told.parquet")
    return folder / "told.parquet"


def rows(port: int, what: str = "video_id, actual") -> list[str]:
    return query(port, "mlflow", f"SELECT {what} FROM {TABLE} ORDER BY video_id").splitlines()


@pytest.mark.slow
def test_rows_are_kept_by_key_and_an_actual_that_comes_later_finds_its_row(port, tmp_path):
    first = database_tables.write(url(port), TABLE, KEY, told(tmp_path, a=None, b=2.0, gone=1.0))
    assert first == Written(TABLE, 3, unchanged=False)
    assert database_tables.write(url(port), TABLE, KEY, told(tmp_path, a=None, b=2.0, gone=1.0)).unchanged
    assert rows(port) == ["a|", "b|2", "gone|1"]
    before = rows(port, "xmin")
    assert not database_tables.write(url(port), TABLE, KEY, told(tmp_path, a=7.5, b=2.0)).unchanged
    assert rows(port) == ["a|7.5", "b|2"]
    # Who did not change was not written again.
    assert rows(port, "xmin")[1] == before[1] and rows(port, "xmin")[0] != before[0]
    moment = "extract(epoch FROM observed_at)::bigint, date, scored_by = '', was_learned"
    assert rows(port, moment)[0] == f"{int(AT.timestamp())}|2026-06-01|t|f"


@pytest.mark.slow
def test_only_months_that_changed_are_written_and_one_that_is_gone_goes(port, tmp_path):
    query(port, "postgres", "ALTER DATABASE mlflow SET timezone = 'Asia/Tokyo'")
    moments = [datetime(2026, month, day, 23, tzinfo=UTC) for month, day in ((5, 1), (5, 31), (6, 1), (6, 30))]
    begun = pl.DataFrame({"video_id": list("abcd"), "begins": moments, "views": [1, 2, 3, 4]})
    table, key = "greenlight_video_stats_daily_aggregations", ("video_id", "begins")

    def write(frame):
        frame.write_parquet(tmp_path / "begun.parquet")
        return database_tables.write(url(port), table, key, tmp_path / "begun.parquet").unchanged

    def there(what):
        return query(port, "mlflow", f"SELECT {what} FROM {table} ORDER BY video_id").splitlines()

    query(port, "mlflow", f"DROP TABLE IF EXISTS {table}")
    assert not write(begun) and write(begun) and there("views") == ["1", "2", "3", "4"]
    query(port, "mlflow", f"UPDATE {table} SET views = 9 WHERE video_id = 'b'")
    # May is as it was, so nobody looks at it; of June a row is changed, and a row is gone.
    assert not write(begun[:3].with_columns(views=pl.Series([1, 2, 7])))
    assert there("video_id || views") == ["a1", "b9", "c7"]
    assert not write(begun[2:]) and there("video_id || views") == ["c3", "d4"]
    query(port, "mlflow", f"COMMENT ON TABLE {table} IS 'of somebody else'")
    assert not write(begun) and there("views") == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_a_write_that_is_killed_leaves_the_old_rows_whole(port, tmp_path, monkeypatch):
    database_tables.write(url(port), TABLE, KEY, told(tmp_path, a=1.0, b=2.0))
    merge = database_tables._merge

    def killed(cursor, *rest):
        merge(cursor, *rest)
        cursor.execute("SELECT pg_backend_pid()")
        query(port, "postgres", f"SELECT pg_terminate_backend({cursor.fetchone()[0]})")

    with monkeypatch.context() as patched:
        patched.setattr(database_tables, "_merge", killed)
        with pytest.raises(Unreachable, match="broke off"):
            database_tables.write(url(port), TABLE, KEY, told(tmp_path, a=9.0))
    assert rows(port) == ["a|1", "b|2"]
    database_tables.write(url(port), TABLE, KEY, told(tmp_path, a=9.0))
    assert rows(port) == ["a|9"]


@pytest.mark.slow
def test_every_table_of_the_store_gets_there_with_its_types_and_new_columns_make_it_anew(port, tmp_path):
    store = DirectoryStore(tmp_path / "store")
    looks = VIDEO_STATS.generate(60, 3).rename({"id": "video_id"}, strict=False)
    path = tmp_path / "looks.csv"
    looks.write_csv(path)
    source = tmp_path / "source.parquet"
    from tasks.adapters.sources import read_source

    read_source(VIDEO_STATS, path, source, observed_at=None)
    for name, table in VIDEO_STATS.tables.items():
        made = table.make(pl.scan_parquet(source)).collect()
        made.write_parquet(tmp_path / "made.parquet")
        store.put(tables.table_key("video_stats", name), tmp_path / "made.parquet")
        heights = made.height
    query(port, "mlflow", "CREATE TABLE greenlight_video_stats_daily_aggregations (video_id text)")
    found = database_tables.write_all(store, url(port), VIDEO_STATS, tmp_path)
    assert [each.table.removeprefix("greenlight_video_stats_") for each in found] == [
        "processed", "hourly_aggregations", "daily_aggregations",
    ]  # fmt: skip
    assert found[-1].rows == heights
    asked = "SELECT sum(views), count(*), max(pg_typeof(begins)::text) FROM greenlight_video_stats_daily_aggregations"
    wanted = made.select(pl.col("views").sum()).item()
    assert query(port, "mlflow", asked) == f"{wanted}|{heights}|timestamp with time zone"


@pytest.mark.slow
def test_what_the_database_refuses_is_told(port, tmp_path):
    with pytest.raises(BadRequest, match="refused: "):
        pl.read_parquet(told(tmp_path, a=1.0)).with_columns(video_id=pl.lit(None, pl.String)).write_parquet(
            tmp_path / "told.parquet"
        )
        database_tables.write(url(port), TABLE, KEY, tmp_path / "told.parquet")


@pytest.mark.slow
def test_who_is_not_let_in_is_told_why_and_asked_to_correct_the_address(port, tmp_path):
    for user, database, why in (("nobody", "mlflow", 'role "nobody"'), ("mlflow", "absent", 'database "absent"')):
        with pytest.raises(AccessDenied, match=f"lets us not in: {why} does not exist; correct"):
            write(f"postgresql://{user}@127.0.0.1:{port}/{database}", tmp_path)
    rules = Path(query(port, "postgres", "SHOW hba_file"))
    rules.write_text("host all mlflow 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    query(port, "postgres", "SELECT pg_reload_conf()")
    eventually(lambda: refused(url(port).replace(PASSWORD, "hidden"), tmp_path), seconds=240)
    assert write(url(port), tmp_path).rows == 1


def write(database: str, folder: Path) -> Written:
    return database_tables.write(database, TABLE, KEY, told(folder, a=1.0))


def refused(database: str, folder: Path) -> bool:
    """Say whether a wrong password is refused, once the server has read its rules anew."""
    try:
        write(database, folder)
    except AccessDenied as error:
        assert 'password authentication failed for user "mlflow"' in str(error) and "hidden" not in str(error)
        return True
    return False


def test_an_address_that_is_none_is_told_without_what_stands_in_it(tmp_path):
    for wrong in ("me:hidden@somewhere", "mysql://me:hidden@127.0.0.1/x"):
        with pytest.raises(BadRequest, match="cannot be read; write it as postgresql://") as told_of:
            write(wrong, tmp_path)
        assert "hidden" not in str(told_of.value) and told_of.value.__cause__ is None


def test_a_server_that_is_only_busy_is_asked_again():
    for said in ("the database system is starting up", "sorry, too many clients already"):
        found = _not_connected(f'connection to server at "127.0.0.1", port 5432 failed: FATAL:  {said}\n')
        assert isinstance(found, Unreachable) and said in str(found)


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path):
    with pytest.raises(Unreachable, match="does not answer") as refused:
        address = f"postgresql://me:hidden@127.0.0.1:{free_port()}/x"
        database_tables.write(address, TABLE, KEY, told(tmp_path, a=1.0))
    assert "hidden" not in str(refused.value) and refused.value.__cause__ is None
