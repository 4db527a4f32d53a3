"""A timetable's run in the store: what was asked, what was predicted, what was found, and what readers see of it.

Each is a blob named by its inputs, so a rerun goes on where a killed run was: within a search at its last generation,
whose state lies under ``searches/`` meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from tasks import workloads
from tasks.adapters import (
    contents,
    mirrors,
    partitions,
    policies,
    serving,
    timetable_files,
    timetable_pairs,
    timetable_written,
)
from tasks.adapters.blobs import blob_key, put_blob, read_blob
from tasks.adapters.memo import Remembered, remember
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store, address, read_bytes
from tasks.adapters.timetable_pairs import Answers
from tasks.core.digests import canonical_json, digest_of, plain
from tasks.core.garbage import digests_in
from tasks.core.partitions import Partition, Table, checked_day, partition_key
from tasks.core.timetable import report
from tasks.core.timetable.alternatives import alternatives
from tasks.core.timetable.asked import Asked
from tasks.core.timetable.checkpoint import decoded, encoded, identity
from tasks.core.timetable.evolution import Progress, State
from tasks.core.timetable.grid import grid_of
from tasks.core.timetable.honest import Honest, judge
from tasks.core.timetable.kinds import kinds_of
from tasks.core.timetable.problem import Problem
from tasks.core.timetable.report import Plan
from tasks.core.timetable.solve import Timetable, Turned, timetable
from tasks.core.timetable.wishes import Wishes
from tasks.core.values import Blob, Entry
from tasks.errors import BadRequest, NoTimetable

KIND = "timetables"
DIGITS = 16
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What is asked: of which champion, from which day on, the files' content as a blob, and what is turned.

    ``replaces`` is the version of the manifest that stood when the work began, empty for none.
    """

    workload: str
    ring: str
    first: str
    champion: Entry
    asked: Blob
    wishes: Wishes
    replaces: str

    @property
    def run(self) -> str:
        """Return the name of this timetable: the same files, champion and wishes have the same, in any process."""
        return digest_of(self.inputs)[:DIGITS]

    @property
    def key(self) -> str:
        """Return what its journal is called."""
        return f"timetable/{self.first}-{self.ring}-{self.run}"

    @property
    def inputs(self) -> dict[str, Any]:
        """Return all that decides the outcome."""
        turned = self.wishes.model_dump(mode="json")
        return {"asked": self.asked, "bundle": self.champion.manifest_digest, "wishes": turned}


@dataclass(frozen=True)
class Solved:
    """The timetable found, and others nearly as good."""

    timetable: Timetable
    alternatives: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True)
class Timetabled:
    """What came of it: how good it is, what it comes to by the model that chose it and by one that did not, and where.

    ``missing`` are the slots nothing could fill, ``notes`` what has to be known before anybody believes the totals.
    """

    status: Literal["published", "unchanged"]
    workload: str
    ring: str
    first: str
    version: str
    engine: str
    slots: int
    value: float
    bound: float
    gap: float
    totals: tuple[dict[str, Any], ...]
    honest: Honest | None
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    manifest: str
    files: tuple[str, ...]
    page: str


ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)
SOLVED: TypeAdapter[Solved] = TypeAdapter(Solved)


def open_request(
    store: Store,
    keys: Path,
    workload: str,
    slots: str,
    programmes: str,
    *,
    current: str,
    first: str | None,
    days: int,
    ring: str,
    wishes: Wishes,
) -> Request:
    """Return the request for the *days* days from *first*, else from the next Monday (UTC); all misuse is found here.

    Raises UnknownWorkload, SourceUnusable, and BadRequest where there is no such ring, nothing serves in it, or what
    serves lacks a goal that is weighed or reads other features than today's code makes.
    """
    spec, begins = workloads.get(workload), checked_day(first or _next_monday())
    policies.next_ring(ring)
    files = timetable_files.Files(Path(slots), Path(programmes), Path(current) if current else None)
    asked = timetable_files.read(spec, files, date.fromisoformat(begins), days)
    wishes.search.settings(wishes.engine, len(asked.slots))
    champion = serving.champion(store, keys, workload, ring)
    _refuse_unserved(champion, timetable_pairs.missing_goals(spec, champion.serves), wishes)
    contents.refuse_other_features(serving.opened(store, keys, champion), spec)
    stood = partitions.standing(store, KIND, workload, begins, ring)
    return Request(workload, ring, begins, champion, put_blob(store, canonical_json(asked)), wishes, stood)


def _next_monday() -> str:
    today = datetime.now(UTC).date()
    return (today + timedelta(days=7 - today.weekday())).isoformat()


def _refuse_unserved(champion: Entry, missing: tuple[str, ...], wishes: Wishes) -> None:
    for goal in missing:
        weight = getattr(wishes.goals, goal)
        if weight:
            raise BadRequest(
                f"{champion.version} of {champion.workload} serves no {goal} in {champion.ring}, only "
                f"{', '.join(champion.serves)}; the weight of the {goal} is {weight:g}, wanted 0: give --weight "
                f"{goal}=0, or retrain with rows that have it"
            )


def predict(store: Store, signer: Signer, keys: Path, request: Request, folder: Path) -> Remembered[Answers]:
    """Answer every pair that the rules allow; *folder* is scratch."""
    spec, asked = workloads.get(request.workload), asked_of(store, request)

    def compute() -> Answers:
        bundle = serving.opened(store, keys, request.champion)
        pairs = asked.pairs(request.wishes.rules.rules())
        return timetable_pairs.predict(store, bundle, spec, request.champion.serves, asked, pairs, folder)

    inputs = {**request.inputs, "wishes": request.inputs["wishes"]["rules"], "serves": request.champion.serves}
    return remember(store, signer, request.workload, "predict pairs", inputs, Answers, compute)


def solve(
    store: Store, signer: Signer, request: Request, answers: Answers, told: Callable[[Progress], None]
) -> Remembered[Blob]:
    """Return the best timetable found, and others, as a blob; *told* hears of every generation. Raises NoTimetable."""
    asked, wishes = asked_of(store, request), request.wishes

    def compute() -> Blob:
        problem = problem_of(store, request, asked, answers)
        found = _searched(store, problem, wishes, told)
        differ = min(wishes.differ, len(asked.slots))
        others = alternatives(problem, found.schedule, wishes.alternatives, differ)
        return put_blob(store, canonical_json(Solved(found, tuple(each.schedule for each in others))))

    inputs = {**request.inputs, "answers": answers}
    return remember(store, signer, request.workload, "solve timetable", inputs, Blob, compute)


def _searched(store: Store, problem: Problem, wishes: Wishes, told: Callable[[Progress], None]) -> Timetable:
    settings = wishes.search.settings(wishes.engine, len(problem.slots))
    if settings is None:
        return timetable(problem, wishes.engine, partial=wishes.partial)
    belongs_to = identity(kinds_of(grid_of(problem)).grid, settings)
    key = f"searches/{belongs_to}.json"

    def keep(state: State) -> None:
        store.put(key, encoded(state, belongs_to))

    try:
        found = timetable(
            problem, wishes.engine, Turned(settings, _left(store, key, belongs_to), told, keep), wishes.partial
        )
    except NoTimetable:
        store.delete(key)
        raise
    store.delete(key)
    return found


def _left(store: Store, key: str, belongs_to: str) -> State | None:
    """Return where a killed search was; one that cannot be read is begun anew."""
    if store.head(key) is None:
        return None
    try:
        return decoded(read_bytes(store, key), belongs_to)
    except BadRequest as error:
        logger.warning("the search is begun anew: %s", error)
        return None


def asked_of(store: Store, request: Request) -> Asked:
    """Return what was asked, from its blob."""
    return ASKED.validate_json(read_blob(store, request.asked))


def problem_of(store: Store, request: Request, asked: Asked, answers: Answers) -> Problem:
    """Return the problem; what was not asked counts 0, so that the mask alone says why it may not be shown."""
    predicted, _ = timetable_pairs.tables(store, answers, asked)
    rules, wishes = request.wishes.rules.rules(), request.wishes
    pairs = asked.pairs(rules)
    unasked = np.isnan(asked.table(pairs, np.zeros(len(pairs))))
    revenue, audience = (np.where(unasked, 0.0, each) for each in (predicted.revenue, predicted.audience))
    return Problem(asked.slots, asked.programmes, revenue, audience, rules, wishes.goals.goals())


def plan_of(store: Store, request: Request, answers: Answers, solved: Blob) -> Plan:
    """Return all a run comes to, with what a model that did not choose says of it."""
    asked, found = asked_of(store, request), SOLVED.validate_json(read_blob(store, solved))
    problem = problem_of(store, request, asked, answers)
    predicted, second = timetable_pairs.tables(store, answers, asked)
    honest = None
    if answers.aired:
        aired = timetable_pairs.aired(store, answers)
        schedule, both = found.timetable.schedule, answers.told_both
        honest = judge(problem, schedule, second, aired, current=asked.current, seen_by_both=both)
    return Plan(problem, predicted, found.timetable, found.alternatives, asked.current, honest)


def publish(store: Store, signer: Signer, request: Request, answers: Answers, solved: Blob, folder: Path) -> Timetabled:
    """Publish the timetable as that of its first day: blobs, then one manifest, then copies for people to open."""
    plan, notes = plan_of(store, request, answers, solved), _notes(answers)
    files = timetable_written.write(plan, folder, _about(request, plan, notes))
    blobs = {path.name: put_blob(store, path) for path in files}
    tables = {name: Table((blobs[f"{name}.parquet"],), frame.height) for name, frame in report.frames(plan).items()}
    about = {
        "version": request.champion.version,
        "wishes": request.wishes.model_dump(mode="json"),
        "asked": request.asked,
        "answers": answers,
        "solved": solved,
        "value": plan.timetable.value,
        "gap": plan.timetable.gap,
        "files": blobs,
    }
    partition = Partition(KIND, request.workload, request.first, request.ring, request.run, tables, plain(about))
    changed = partitions.publish(store, signer, partition, source=store, replaces=request.replaces)
    return _told(request, plan, notes, changed, *_shown(store, request, files))


def carry(store: Store, others: Sequence[Store], trust: Trust, workload: str, first: str, ring: str) -> tuple[str, ...]:
    """Give every mirror the timetable of *first*, what it was made of and the copies people open; say who lags."""
    found = partitions.read(store, trust, KIND, workload, first, ring) if others else None
    if found is None:
        return ()
    named = (blob_key(digest) for digest in sorted(digests_in(canonical_json(found.about))))
    shown = store.list(f"{KIND}/{workload}/{first}-{ring}.")
    return mirrors.carry(store, others, trust, partition_key(KIND, workload, first, ring), [*named, *shown])


def _shown(store: Store, request: Request, files: tuple[Path, ...]) -> tuple[str, tuple[str, ...]]:
    """Put the timetable's own files where people open them; return the manifest's address and theirs."""
    shown = []
    for path in files:
        if path.stem == "timetable":
            key = f"{KIND}/{request.workload}/{request.first}-{request.ring}{path.suffix}"
            store.put(key, path)
            shown.append(address(store, key))
    return address(store, partition_key(KIND, request.workload, request.first, request.ring)), tuple(shown)


def _about(request: Request, plan: Plan, notes: tuple[str, ...]) -> dict[str, str]:
    champion = request.champion
    return {
        "workload": request.workload,
        "ring": request.ring,
        "first day": request.first,
        "champion": f"{champion.version}, let out by entry {champion.number}",
        "engine": request.wishes.engine,
        "run": request.run,
    } | {f"note {number}": note for number, note in enumerate(notes, 1)}


def _notes(answers: Answers) -> tuple[str, ...]:
    unserved = [f"nothing serves the {goal}: it weighs nothing and counts 0 here" for goal in answers.missing]
    return (*unserved, *([f"no model could check the total: {answers.because}"] if answers.because else []))


def _told(
    request: Request, plan: Plan, notes: tuple[str, ...], changed: bool, manifest: str, files: tuple[str, ...]
) -> Timetabled:
    found = plan.timetable
    return Timetabled(
        status="published" if changed else "unchanged",
        workload=request.workload,
        ring=request.ring,
        first=request.first,
        version=request.champion.version,
        engine=request.wishes.engine,
        slots=len(plan.problem.slots),
        value=found.value,
        bound=found.bound,
        gap=found.gap,
        totals=tuple(report.frames(plan)["totals"].to_dicts()),
        honest=plan.honest,
        missing=tuple(each.sentence for each in found.missing),
        notes=notes,
        manifest=manifest,
        files=files,
        page=next(file for file in files if file.endswith(".html")),
    )
