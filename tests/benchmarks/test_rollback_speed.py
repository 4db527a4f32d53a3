"""How soon readers see a rollback: from its commit to champion.json and to MLflow's alias, against the commit."""

from __future__ import annotations

import time
from statistics import median

import pytest

from tasks.adapters import ledger, projections
from tasks.adapters.registry import Registry
from tests.released import Released

TIMES = 10


class Clocked:
    """Notes when the ledger's commit and each projection came."""

    def __init__(self, monkeypatch):
        self.at = {}
        for owner, name in ((ledger, "append"), (projections, "reconcile")):
            monkeypatch.setattr(owner, name, self._noting(name, getattr(owner, name)))

    def _noting(self, name, function):
        def noted(*asked):
            begun = time.perf_counter()
            done = function(*asked)
            self.at.setdefault(name, []).append((begun, time.perf_counter()))
            return done

        return noted


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_readers_see_a_rollback_about_as_soon_as_it_is_written(tmp_path, monkeypatch, capsys):
    shop = Released(tmp_path, "shops", Registry(tmp_path / "mlflow"))
    shop.promote("one")
    shop.promote("two")
    file, alias, append = [], [], []
    for time_ in range(TIMES):
        with monkeypatch.context() as patch:
            clock = Clocked(patch)
            # As in a command's own process: nothing was asked of the registry yet.
            done = shop.back(
                f"the {time_}th time in a row", shop.entries()[-2].version, aliases=Registry(tmp_path / "mlflow")
            )
        ((begun, committed),) = clock.at["append"]
        (_, shown), (_, pointed) = clock.at["reconcile"]
        file.append(shown - committed)
        alias.append(pointed - committed)
        append.append(committed - begun)
        assert shop.seen() == done.entry.version
        assert shop.aliases.alias("shops", "champion") == done.entry.manifest_digest
    figures = {"champion.json": file, "MLflow alias": alias, "the commit itself": append}
    said = "; ".join(
        f"{name} {median(each) * 1000:.0f} ms, at most {max(each) * 1000:.0f}" for name, each in figures.items()
    )
    with capsys.disabled():
        print(f"\nrollback, commit to readers: {said}")
    # Measured 0.4 (2 ms of 6) and 7 (42 ms): one durable write instead of three; a few transactions of SQLAlchemy's.
    assert median(file) < 3 * median(append)
    assert median(alias) < 20 * median(append)
