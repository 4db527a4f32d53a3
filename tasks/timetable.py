"""Timetable: read what is asked, predict every pair, search, and publish what was found with what checks it."""

from __future__ import annotations

import logging

from prefect.artifacts import create_markdown_artifact

from tasks.adapters import timetables
from tasks.adapters.home import mirrors, root, scratch, signer, store
from tasks.adapters.signing import trusted_keys
from tasks.adapters.timetable_pairs import Answers
from tasks.adapters.timetables import Request, Timetabled
from tasks.core.timetable.evolution import Progress
from tasks.core.timetable.wishes import Wishes
from tasks.core.values import Blob
from tasks.patience import patient
from tasks.stages import stage

logger = logging.getLogger(__name__)


@patient(name="read timetable's request {workload} {ring}")
def open_request(
    workload: str, slots: str, programmes: str, current: str, first: str | None, days: int, ring: str, wishes: Wishes
) -> Request:
    """Read the files and note what serves before any work begins."""
    return timetables.open_request(
        store(), root() / "keys", workload, slots, programmes,
        current=current, first=first, days=days, ring=ring, wishes=wishes,
    )  # fmt: skip


@patient(name="predict pairs of {request.workload} {request.first}", timeout_minutes=240)
def predict_pairs(request: Request) -> Answers:
    """Let the champion, and a model that will not choose, answer every pair the rules allow."""
    with stage(request, "predict pairs") as told, scratch(request.workload, "pairs") as folder:
        found = timetables.predict(store(), signer(), root() / "keys", request, folder)
        told.reused, told.note = found.reused, f"every pair that may be, by {request.champion.version}"
    return found.value


@patient(name="solve timetable {request.workload} {request.first}", timeout_minutes=240)
def solve(request: Request, answers: Answers) -> Blob:
    """Search for the best timetable; a rerun goes on at the generation where a killed one was."""
    with stage(request, "solve") as told:
        found = timetables.solve(store(), signer(), request, answers, _tell)
        told.reused, told.note = found.reused, f"engine {request.wishes.engine}"
    return found.value


@patient(name="publish timetable {request.workload} {request.first}")
def publish(request: Request, answers: Answers, solved: Blob) -> Timetabled:
    """Hold it against a model that did not choose it, write its files and page, and publish all of it."""
    with stage(request, "publish") as told, scratch(request.workload, "timetable") as folder:
        found = timetables.publish(store(), signer(), request, answers, solved, folder)
        trust, which = trusted_keys(root() / "keys"), (request.workload, request.first, request.ring)
        behind = timetables.carry(store(), mirrors(), trust, *which)
        told.rows, told.reused = found.slots, found.status == "unchanged"
        told.note = "; ".join((found.manifest, *behind))
    return found


def show(found: Timetabled) -> Timetabled:
    """Return what came of it, and link it where people look."""
    lines = [
        f"# {found.workload} in {found.ring} from {found.first}: {found.status}",
        "",
        f"{found.slots} slots by {found.engine}: at most {found.gap:.2%} below the best there can be",
        "",
        *(f"- {each}" for each in (*found.notes, *found.missing)),
        "",
        f"[The page]({found.page})",
    ]
    key = f"{found.workload}-{found.ring}-timetable".lower().replace("_", "-")
    create_markdown_artifact("\n".join(lines), key=key, description=found.manifest)
    return found


def _tell(at: Progress) -> None:
    text = f"generation {at.generation}: best {at.best:.5f}, at most {at.gap:.3%} below the bound, front of {at.front}"
    logger.info(text, extra={"progress": text})
