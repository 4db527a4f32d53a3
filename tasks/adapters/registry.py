"""MLflow, the only home of it: what was tried, which versions are registered, and where readers of MLflow find them.

Nothing here decides anything, and all of it can be written again: a run is found by its key and a version by its
bundle's digest, so a rerun after a kill makes no second one. MLflow is imported on first use, because it takes seconds.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.adapters.environment import log_into_mlflow, silence
from tasks.adapters.registry_database import follow, make_database
from tasks.adapters.registry_errors import translated, without_login
from tasks.adapters.store import Store, located
from tasks.core.values import Challenger, Scorecard
from tasks.errors import HomeDamaged

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RUN_KEY, TRIAL, PARENT, NAME = "greenlight.run_key", "greenlight.trial", "mlflow.parentRunId", "mlflow.runName"
BUNDLE = "bundle_digest"
LONGEST_DATASET_DIGEST = 36
LONGEST_PARAM = 6000
MEASURED = ("mae", "rmse", "r2", "log_r2", "spearman", "skill", "mase", "mae_scaled", "mase_scaled")


@dataclass(frozen=True)
class Trial:
    """One candidate on one target, as a child run; ``series`` are drawn by MLflow, a step for each value."""

    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One run of a workload, as it is logged. ``datasets`` is name → digest."""

    workload: str
    run_key: str
    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    trials: Sequence[Trial] = ()


def trial_of(card: Scorecard) -> Trial:
    """Return a scorecard as a trial."""
    measured = {name: getattr(card, name) for name in MEASURED}
    metrics = {name: value for name, value in measured.items() if value is not None and math.isfinite(value)}
    if card.study:
        tried = {"trials": card.study.trials, "trials_pruned": card.study.pruned, "trials_failed": card.study.failed}
        best = {"best_mae": card.study.mae, "declared_mae": card.study.declared_mae}
        metrics |= {**tried, **{name: value for name, value in best.items() if value is not None}}
    return Trial(
        name=f"{card.target}/{card.title}",
        params={"target": card.target, "algorithm": card.algorithm, **{k: str(v) for k, v in card.params.items()}},
        metrics={**metrics, "rows": float(card.rows)},
        tags={
            "target": card.target,
            "algorithm": card.algorithm,
            "params": "tuned" if card.tuned else "declared",
            "reason": card.reason,
        },
        failed=card.status == "failed",
        series={"fold_mae": card.fold_mae},
    )


class Registry:
    """An MLflow tracking and model registry: a SQLite file in the home, or the server that *uri* names."""

    def __init__(self, folder: Path, uri: str = "") -> None:
        self.folder = folder
        self._address = uri or f"sqlite:///{folder / 'mlflow.db'}"
        # What is said and logged, and what a server is asked by: without the user and the password.
        self.uri = without_login(self._address)
        self._embedded = not uri

    def prepare(self) -> None:
        """Make the database in the home if it is wanted and not there."""
        with translated(self.uri):
            if self._embedded:
                make_database(self.folder)

    def log_run(self, record: Record) -> str:
        """Log a run with one child per trial and return its id; a run of the same key is completed, never doubled."""
        with translated(self.uri):
            experiment = self._experiment(record.workload)
            run = self._run(experiment, record.name, {RUN_KEY: record.run_key, **record.tags}, RUN_KEY)
            run_id = str(run.info.run_id)
            if run.info.status != "FINISHED":
                self._fill(run, record)
            return run_id

    def register(self, challenger: Challenger, run_id: str, store: Store, tags: Mapping[str, str]) -> str:
        """Register the bundle as a version of its workload and return the version; a bundle has one version only.

        Without *run_id* the version belongs to no run.
        """
        with translated(self.uri):
            known = self._version(challenger.workload, challenger.manifest_digest)
            if known is None:
                known = self._create_version(challenger, run_id, store, tags)
            return known

    def attach(self, workload: str, run_key: str, file: Path) -> None:
        """Add *file* to the artifacts of the run with that key; a run that is not known has nothing to add to."""
        with translated(self.uri):
            wanted = f"tags.`{RUN_KEY}` = '{_quoted(run_key)}'"
            for run in self._client.search_runs([self._experiment(workload)], wanted, max_results=1):
                self._client.log_artifact(run.info.run_id, str(file))

    def knows(self, workload: str, manifest_digest: str) -> bool:
        """Say whether a version with that bundle is registered."""
        with translated(self.uri):
            return self._version(workload, manifest_digest) is not None

    def point(self, workload: str, alias: str, manifest_digest: str) -> bool:
        """Point *alias* at the version with that bundle; say whether it had to be moved."""
        with translated(self.uri):
            wanted = self._version(workload, manifest_digest)
            if wanted is None:
                raise HomeDamaged(
                    f"{workload}: no registered version has the bundle {manifest_digest[:12]}…, which the ledger says "
                    f"serves; run: greenlight reconcile {workload}, to register it in {self.uri}"
                )
            if self._aliases(workload).get(alias) == wanted:
                return False
            self._client.set_registered_model_alias(workload, alias, wanted)
            return True

    def label(self, workload: str, manifest_digest: str, name: str, value: str) -> None:
        """Tag the version with that bundle, for people; a version that is not registered has nothing to tag."""
        with translated(self.uri):
            version = self._version(workload, manifest_digest)
            if version is not None:
                self._client.set_model_version_tag(workload, version, name, value)

    def alias(self, workload: str, alias: str) -> str | None:
        """Return the manifest digest of the bundle *alias* points at, None if it points nowhere."""
        with translated(self.uri):
            version = self._aliases(workload).get(alias)
            if version is None:
                return None
            return str(self._client.get_model_version(workload, version).tags.get(BUNDLE, ""))

    @cached_property
    def _client(self) -> MlflowClient:
        silence()
        if self._embedded:
            make_database(self.folder)
            follow(self.folder)
        from mlflow.tracking import MlflowClient

        address = urlsplit(self._address)
        if not address.scheme.startswith("http"):
            return MlflowClient(tracking_uri=self._address, registry_uri=self._address)
        if address.username:
            log_into_mlflow(unquote(address.username), unquote(address.password or ""))
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def _experiment(self, workload: str) -> str:
        from mlflow.exceptions import MlflowException

        known = self._client.get_experiment_by_name(workload)
        if known is None:
            location = (self.folder / "artifacts" / workload).as_uri() if self._embedded else None
            with contextlib.suppress(MlflowException):
                return str(self._client.create_experiment(workload, artifact_location=location))
            known = self._client.get_experiment_by_name(workload)
        if known is None:
            raise HomeDamaged(f"MLflow at {self.uri} neither has nor makes the experiment {workload!r}: restore it")
        return str(known.experiment_id)

    def _run(self, experiment: str, name: str, tags: Mapping[str, str], key: str, within: str = "") -> Run:
        wanted = f"tags.`{key}` = '{_quoted(tags[key])}'" + (f" and tags.`{PARENT}` = '{within}'" if within else "")
        for run in self._client.search_runs([experiment], wanted, max_results=1, order_by=["start_time ASC"]):
            return run
        return self._client.create_run(experiment, run_name=name, tags={NAME: name, **tags})

    def _fill(self, run: Run, record: Record) -> None:
        run_id = run.info.run_id
        children = self._children(run)
        for trial in record.trials:
            self._fill_trial(run, trial, children.get(trial.name))
        self._log(run, record.params, record.metrics, record.tags, {})
        self._log_datasets(run_id, record.datasets)
        self._client.set_terminated(run_id, "FINISHED")

    def _children(self, run: Run) -> dict[str, Run]:
        within = f"tags.`{PARENT}` = '{run.info.run_id}'"
        found = self._client.search_runs([run.info.experiment_id], within, max_results=1000)
        return {each.data.tags.get(TRIAL, ""): each for each in found}

    def _fill_trial(self, parent: Run, trial: Trial, child: Run | None) -> None:
        tags = {PARENT: parent.info.run_id, TRIAL: trial.name, **trial.tags}
        if child is None:
            started = parent.info.start_time
            experiment = parent.info.experiment_id
            child = self._client.create_run(experiment, start_time=started, run_name=trial.name, tags=tags)
        if child.info.status == "RUNNING":
            self._log(child, trial.params, trial.metrics, {}, trial.series)
            self._client.set_terminated(child.info.run_id, "FAILED" if trial.failed else "FINISHED")

    def _log(
        self,
        run: Run,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        series: Mapping[str, Sequence[float]],
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        points = [(name, value, 0) for name, value in metrics.items()]
        points += [(name, value, step) for name, values in series.items() for step, value in enumerate(values)]
        # The run's own start dates its metrics, so a rerun after a kill writes the same points and not a second set.
        at = run.info.start_time
        self._client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, at, step) for name, value, step in points if math.isfinite(value)],
            params=[Param(name, value[:LONGEST_PARAM]) for name, value in params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

    def _log_datasets(self, run_id: str, datasets: Mapping[str, str]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(name, digest[:LONGEST_DATASET_DIGEST], "blob", f'{{"sha256":"{digest}"}}'),
                [InputTag("mlflow.data.context", name)],
            )
            for name, digest in datasets.items()
        ]
        if inputs:
            self._client.log_inputs(run_id, inputs)

    def _version(self, workload: str, manifest_digest: str) -> str | None:
        wanted = f"name = '{_quoted(workload)}' and tag.{BUNDLE} = '{_quoted(manifest_digest)}'"
        found = [int(each.version) for each in self._client.search_model_versions(wanted)]
        return str(min(found)) if found else None

    def _create_version(self, challenger: Challenger, run_id: str, store: Store, tags: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self._client.create_registered_model(challenger.workload)
        made = self._client.create_model_version(
            challenger.workload,
            source=self._source(store, f"bundles/{challenger.workload}/{challenger.version}.json"),
            run_id=run_id or None,
            tags={**tags, BUNDLE: challenger.manifest_digest, "bundle_version": challenger.version},
            await_creation_for=0,
        )
        return str(made.version)

    def _source(self, store: Store, key: str) -> str:
        """Return the bundle's address; a server refuses files it does not keep itself, so there its key must do."""
        elsewhere = self._address.startswith("http") and store.uri.startswith("file:")
        return f"greenlight://{key}" if elsewhere else located(store, key)

    def _aliases(self, workload: str) -> dict[str, str]:
        found = self._client.search_registered_models(f"name = '{_quoted(workload)}'")
        return {alias: str(version) for model in found for alias, version in model.aliases.items()}


def _quoted(text: str) -> str:
    """Return *text* fit for MLflow's search filters, which know no escape."""
    return re.sub(r"['\\\"%`]", "_", text)
