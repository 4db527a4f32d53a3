"""Tabulate: bring the tables in the store, and in the database where one is named, up to the records."""

from __future__ import annotations

from tasks import workloads
from tasks.adapters import database_tables, tables
from tasks.adapters.database_tables import Written
from tasks.adapters.home import root, scratch, signer, store, warehouse
from tasks.patience import patient


@patient(name="tabulate rows of {workload}")
def tabulate_rows(workload: str) -> dict[str, int]:
    """Make the tables of all rows that were ever taken in anew; return their heights."""
    with scratch(workload, "tables") as room:
        return tables.of_rows(store(), workloads.get(workload), room)


@patient(name="tabulate predictions of {workload}")
def tabulate_predictions(workload: str) -> dict[str, int]:
    """Bring the tables of what was predicted up to all scored days and what is known of their truth."""
    with scratch(workload, "tables") as room:
        return tables.of_scored_days(store(), signer(), root() / "keys", workloads.get(workload), room)


@patient(name="write tables of {workload}")
def write_tables(workload: str) -> tuple[Written, ...]:
    """Bring the database up to the tables in the store; without one nothing is done."""
    database = warehouse()
    if not database:
        return ()
    with scratch(workload, "tables") as room:
        return database_tables.write_all(store(), database, workloads.get(workload), room)
