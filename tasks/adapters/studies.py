"""Optuna, the only home of it: it proposes parameters, stops poor trials early, and goes on after a kill.

A study is a journal in the home, or lies in the database the settings name. What a trial is judged by is not known
here. Optuna is imported on first use, because few runs tune.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from tasks.core.digests import canonical_json
from tasks.core.tuning import TRIALS, Judge, Space, Tuning
from tasks.core.values import Blob, Study
from tasks.errors import BadRequest, GreenlightError, HomeDamaged, OutOfSpace, Unreachable
from tasks.workloads.spans import Span

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, TrialState

# Trials before proposals follow from earlier ones and poor trials are stopped: Optuna's own ten would be most of a
# small budget.
FIRST_TRIALS = 5
# One fold alone says too little to stop a trial by.
FOLDS_LEAST = 2
REASON = "reason"
_CONNECTING = threading.Lock()


@dataclass(frozen=True)
class Search:
    """What is looked for: in which space, for how long, with which seed for each trial, judged by what."""

    space: Space
    budget: Tuning
    seed: Callable[[int], int]
    judge: Judge


@dataclass(frozen=True)
class Place:
    """Where a study is kept: *name* is its own, *database* an address; empty: a journal in *folder*."""

    folder: Path
    name: str
    database: str = ""


@dataclass(frozen=True)
class Searched:
    """What came of it: the trials (see ``TRIALS``), and the parameters of the best; None if every trial failed."""

    trials: pl.DataFrame
    found: Mapping[str, float] | None

    def told(self, table: Blob) -> Study:
        """Return the study as a value, its trials kept as *table*."""
        states, maes = self.trials["state"].to_list(), self.trials["mae"]
        return Study(
            trials=self.trials.height,
            pruned=states.count("pruned"),
            failed=states.count("failed"),
            mae=maes.min(),  # type: ignore[arg-type]  # a column of floats
            declared_mae=maes[0],
            table=table,
        )

    @property
    def reasons(self) -> str:
        """Why trials failed, each reason once."""
        return "; ".join(self.trials["reason"].filter(self.trials["reason"] != "").unique(maintain_order=True))


def library() -> str:
    """Return whose proposals these are: another version may propose others."""
    return f"optuna {version('optuna')}"


def look(wanted: Search, place: Place) -> Searched:
    """Try parameters until the budget is spent, those declared first; trials of a study that was broken off count."""
    with _letters(place):
        study = _opened(place)
        for broken_off in study.get_trials(deepcopy=False, states=(_states().RUNNING,)):
            study.tell(broken_off.number, state=_states().FAIL)
        while not _spent(_ended(study), wanted.budget):
            _try(study, wanted, place)
        return _searched(_ended(study)[: wanted.budget.trials])


def _try(study: optuna.Study, wanted: Search, place: Place) -> None:
    trial = _ask(study, wanted)
    try:
        mae = wanted.judge(trial.params, partial(_goes_on, trial, place))
    except GreenlightError:
        raise
    except (Exception, MemoryError) as error:  # whatever a learner raises is this trial's failure, not the study's
        trial.set_user_attr(REASON, f"{type(error).__name__}: {error}"[:500])
        study.tell(trial, state=_states().FAIL)
    else:
        study.tell(trial, mae, state=_states().PRUNED if mae is None else _states().COMPLETE)


def _ask(study: optuna.Study, wanted: Search) -> optuna.Trial:
    """Propose by what ended and a seed of its own: a trial that was broken off is proposed again as it was."""
    from optuna.samplers import TPESampler

    ended = len(_ended(study))
    study.sampler = TPESampler(seed=wanted.seed(ended), n_startup_trials=FIRST_TRIALS)
    if ended == 0 and not study.get_trials(deepcopy=False, states=(_states().WAITING,)):
        study.enqueue_trial(dict(wanted.space.declared))
    return study.ask({name: _distribution(span) for name, span in wanted.space.spans.items()})


def _goes_on(trial: optuna.Trial, place: Place, step: int, error: float) -> bool:
    with _letters(place):
        trial.report(error, step)
        return not trial.should_prune()


def _distribution(span: Span) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if span.scale == "whole":
        return IntDistribution(int(span.low), int(span.high))
    return FloatDistribution(span.low, span.high, log=span.scale == "log")


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that came to an end of their own, in order; one that a kill broke off did not."""
    states = _states()
    trials = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.FAIL))
    return [trial for trial in trials if trial.state != states.FAIL or REASON in trial.user_attrs]


def _spent(ended: Sequence[FrozenTrial], budget: Tuning) -> bool:
    if not ended or len(ended) >= budget.trials:
        return bool(ended)
    seconds = sum(trial.duration.total_seconds() for trial in ended if trial.duration)
    return 0 < budget.seconds <= seconds


def _searched(ended: Sequence[FrozenTrial]) -> Searched:
    names = {_states().COMPLETE: "complete", _states().PRUNED: "pruned", _states().FAIL: "failed"}
    complete = [trial for trial in ended if trial.state == _states().COMPLETE]
    rows = [
        {
            "trial": number,
            "state": names[trial.state],
            "params": canonical_json(trial.params).decode(),
            "mae": trial.value if trial in complete else None,
            "reason": trial.user_attrs.get(REASON, ""),
        }
        for number, trial in enumerate(ended)
    ]
    best = min(complete, key=lambda trial: float(trial.value or 0), default=None)
    return Searched(pl.DataFrame(rows, schema=dict(TRIALS)), best.params if best else None)


def _opened(place: Place) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=_database(place.database) if place.database else _journal(place),
        study_name=place.name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS, n_warmup_steps=FOLDS_LEAST - 1),
    )


def _journal(place: Place) -> optuna.storages.BaseStorage:
    """Open the journal; whoever trains the workload holds its lock, so what others left half done nobody else needs."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = place.folder / f"{place.name}.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{path}.lock").unlink(missing_ok=True)
    if path.exists():
        whole = path.read_bytes()
        os.truncate(path, whole.rfind(b"\n") + 1)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise HomeDamaged(
            f"the study kept in {path} cannot be read ({error}); delete it, and its parameters are looked for again"
        ) from error


def _database(address: str) -> optuna.storages.BaseStorage:
    # Two that connect at once would both make the tables.
    with _CONNECTING:
        return _connected(address)


@lru_cache(maxsize=2)
def _connected(address: str) -> optuna.storages.BaseStorage:
    from optuna.storages import RDBStorage

    # Candidates side by side write to one SQLite file in turns; a server may have dropped an idle connection.
    options = {"connect_args": {"timeout": 60}} if address.startswith("sqlite:") else {"pool_pre_ping": True}
    return RDBStorage(address, engine_kwargs=options)


def _states() -> type[TrialState]:
    from optuna.trial import TrialState

    return TrialState


@contextlib.contextmanager
def _letters(place: Place) -> Iterator[None]:
    """The database's address is never told: it holds a password."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        yield
    except (ArgumentError, ImportError) as error:
        raise BadRequest(
            "GREENLIGHT_TUNING_STORAGE names no database that can be used here; wanted is an address like "
            f"postgresql+psycopg2://user:password@host/database, and its driver installed ({type(error).__name__})"
        ) from error
    except (StorageInternalError, SQLAlchemyError) as error:
        raise Unreachable(
            f"the database of GREENLIGHT_TUNING_STORAGE did not answer for the study {place.name} "
            f"({type(error).__name__}); look whether it is up, then run again: trials that ended are kept"
        ) from error
    except OSError as error:
        raise OutOfSpace(f"the study {place.name} cannot be written in {place.folder}: {error}; make room") from error
