"""Materialize: features into Feast's offline source and online store, and the training set out of Feast again."""

from __future__ import annotations

from tasks import workloads
from tasks.adapters import home
from tasks.adapters.blobs import blob_path, put_blob
from tasks.adapters.home import scratch, signer, store
from tasks.adapters.memo import remember
from tasks.core.run import Run
from tasks.core.values import Contracted, TrainingSet
from tasks.patience import patient
from tasks.stages import stage


@patient(name="materialize {run.workload}")
def materialize(run: Run, contracted: Contracted) -> TrainingSet:
    """Derive features, register and materialize them, and return the point-in-time correct training set."""
    with stage(run, "materialize") as told:
        found = remember(
            store(),
            signer(),
            run.workload,
            "materialize",
            {"accepted": contracted.accepted, "snapshot": contracted.snapshot, "feast": home.born("feast")},
            TrainingSet,
            lambda: _materialize(run, contracted),
        )
        told.rows, told.reused = found.value.row_count, found.reused
        told.note = f"{found.value.row_count:,} training rows, {found.value.online_rows:,} entities online"
    return found.value


def _materialize(run: Run, contracted: Contracted) -> TrainingSet:
    # Feast costs seconds to import; a run that finds its result remembered need not pay.
    from tasks.adapters import feast_store

    spec, accepted = workloads.get(run.workload), blob_path(store(), contracted.accepted)
    feast_store.write_features(spec, accepted, home.root(), contracted.snapshot)
    definitions = feast_store.apply(spec, home.root(), contracted.snapshot)
    counts = feast_store.materialize(spec, home.root(), contracted.snapshot)
    with scratch(run.workload) as folder:
        rows = feast_store.training_rows(
            spec, home.root(), accepted, folder / "training.parquet", snapshot_digest=contracted.snapshot
        )
        return TrainingSet(
            workload=spec.name,
            rows=put_blob(store(), folder / "training.parquet"),
            row_count=rows,
            snapshot=contracted.snapshot,
            definitions_digest=definitions,
            online_rows=counts.online,
        )
