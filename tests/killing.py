"""Kills ``greenlight tables`` of the shops at one instruction after the other, looks, and lets it run once more.

A program of its own, ``python -m tests.killing HOME [PORT]``: no thread of Polars outlives a fork, so nothing that is
done before a command is forked may use it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from deployments.cli import main as command
from tasks import workloads
from tasks.adapters import database_tables, provenance, tables
from tasks.workloads.spec import RowTable
from tests.command_line import digests
from tests.contesting import SPEC as SHOPS
from tests.postgresql import address, query

__all__ = ["database_tables", "tables"]  # Imported once, for all who are forked.

SEEN = RowTable(lambda rows: rows.group_by("shop").agg(pl.col("visitors").sum()).sort("shop"), ("shop",))
SPEC = replace(SHOPS, tables={"seen": SEEN})
# What gives a file its name, and what is said to the database: a process dies just before the so-many-th of these.
ON_DISK = frozenset(("link", "replace"))
IN_DATABASE = frozenset(("cursor.execute", "cursor.copy_expert", "connection.close"))
# Each of three tables is written by the same ten statements or so: each of them is died at, in one table or another.
EVERY_THIRD = 3
HELD = "SELECT '{0}', md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM greenlight_shops_{0} t"


class Home:
    """The home of the shops, whose tables are behind its records; and the database that is behind them too."""

    def __init__(self, folder: Path, port: int | None) -> None:
        self.folder, self.port = folder, port
        self.behind = (folder / "store").rename(folder / "behind")

    def set_back(self) -> None:
        """Let the tables be behind again. Nothing is written into a file of a store once it has its name."""
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        shutil.copytree(self.behind, self.folder / "store", copy_function=os.link)
        if self.port:
            query(self.port, "postgres", "DROP DATABASE mlflow WITH (FORCE)")
            query(self.port, "postgres", "CREATE DATABASE mlflow TEMPLATE behind")

    def run(self, dies_at: int | None = None) -> int:
        """Run the command, to its end or to so many instructions; return how that ended."""
        child = os.fork()
        if not child:
            workloads.WORKLOADS["shops"] = SPEC
            os.environ["GREENLIGHT_HOME"] = str(self.folder)
            if self.port:
                os.environ["GREENLIGHT_WAREHOUSE"] = f"postgresql://{address(self.port, 'mlflow')}"
            sys.argv = ["greenlight", "tables", "shops", "--json"]
            if dies_at is not None:
                sys.setprofile(_deadly(dies_at, IN_DATABASE if self.port else ON_DISK))
            sys.exit(command())
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def seen(self) -> Mapping[str, str]:
        """Return what a reader finds in each table, in the store and in the database."""
        found = digests(self.folder / "store" / "tables" / "shops")
        if not self.port:
            return found
        asked = " UNION ".join(HELD.format(name.removesuffix(".parquet")) for name in found)
        return found | dict(line.split("|") for line in query(self.port, "mlflow", asked).splitlines())

    def kept(self) -> Mapping[str, str]:
        """Return all there is when the command is done."""
        assert not list((self.folder / "tmp").glob("shops-*"))
        return {key: found for key, found in digests(self.folder / "store").items() if not key.startswith(".")}


def _deadly(number: int, dangers: frozenset[str]) -> Any:
    left = [number]

    def watch(frame: Any, event: str, what: Any) -> None:
        if event == "c_call" and what.__qualname__ in dangers:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return watch


def main(folder: Path, port: int | None) -> None:
    """Kill and run again until none is left to be killed; print at which instruction that was."""
    provenance.code_digest()
    home = Home(folder, port)
    home.set_back()
    old = home.seen()
    assert home.run() == 0
    new, kept = home.seen(), home.kept()
    assert len(old) == (6 if port else 3) and old.keys() == new.keys() and all(old[name] != new[name] for name in old)
    for last in count(step=EVERY_THIRD if port else 1):
        home.set_back()
        if not (ended := home.run(dies_at=last)):
            break
        assert ended == -signal.SIGKILL, (last, ended)
        seen = home.seen()
        assert seen.keys() == new.keys() and all(seen[name] in (old[name], new[name]) for name in new), last
        assert home.run() == 0, last
        assert home.seen() == new and home.kept() == kept, last
    print(last)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
