"""Check: hold a snapshot against its contract, set the bad rows aside with their reasons, stop if the table is bad."""

from __future__ import annotations

from datetime import date

from tasks import workloads
from tasks.adapters import snapshots
from tasks.adapters.blobs import blob_path
from tasks.adapters.home import scratch, signer, store
from tasks.adapters.memo import remember
from tasks.adapters.suites import suite_of
from tasks.core import rules
from tasks.core.run import Run
from tasks.core.values import Contracted, Snapshot
from tasks.patience import patient
from tasks.stages import stage


@patient(name="check contract {run.workload}")
def check_contract(run: Run, snapshot: Snapshot, *, to_learn: bool = True) -> Contracted:
    """Return the snapshot split into accepted and quarantined rows; raises DataRejected on a table-level failure.

    Where nothing is *to learn* from it, it may have few rows and no labels.
    """
    with stage(run, "check contract") as told:
        found = remember(
            store(),
            signer(),
            run.workload,
            "check",
            {"snapshot": snapshot.digest, "as_of": run.as_of},
            Contracted,
            lambda: _check(run, snapshot),
        )
        contracted, told.reused, told.rows = found.value, found.reused, found.value.rows_in
        told.note = f"{contracted.rows_accepted:,} accepted + {contracted.rows_quarantined:,} quarantined"
    labels = {target.column for target in workloads.get(run.workload).targets}
    passed_over = frozenset() if to_learn else rules.of_learning(suite_of(run.workload), labels)
    asked = (result for result in contracted.results if result.rule not in passed_over)
    rules.stop_if_table_failed(asked, run.workload)
    rules.stop_if_nothing_left(contracted, run.workload)
    return contracted


def _check(run: Run, snapshot: Snapshot) -> Contracted:
    # Great Expectations costs seconds to import; a run that finds its result remembered need not pay.
    from tasks.adapters.contract import check

    suite = suite_of(run.workload)
    with scratch(run.workload) as folder:
        results = check(suite, blob_path(store(), snapshot.rows), folder, as_of=date.fromisoformat(run.as_of))
        return snapshots.divide(store(), suite, snapshot, results, folder)
