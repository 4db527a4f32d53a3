"""Who let what out, when, why and on which evidence: the ledger as people read it, and as other tools take it.

Everything here is read from the signed chain; a dossier adds who had asked. Nothing is decided, nothing is written.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tasks.adapters import anchors, experiments, ledger, projections
from tasks.adapters.blobs import blob_key
from tasks.adapters.line import EVERY_WORKLOAD, LINE
from tasks.adapters.signing import Trust, trusted_keys
from tasks.adapters.store import Store, read_bytes
from tasks.core.experiments import Conclusion, Experiment
from tasks.core.ledger_chain import Anchor, Break, digest_of_entry
from tasks.core.values import Entry
from tasks.errors import HomeDamaged, LedgerBroken, NotTrusted

# What a spreadsheet would run instead of show.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
DIGEST = re.compile("[0-9a-f]{64}")
# What of an event is told by its dossier.
ASKED = ("requested_by", "semantic_version")


@dataclass(frozen=True)
class Event:
    """One ledger entry, or the end of an experiment, as people read it.

    ``evidence`` and ``policy`` are digests, ``decided_by`` its approvers. What its dossier tells is empty where it was
    decided on none: who asked, and the number people call the version.
    """

    at: str
    workload: str
    number: int
    ring: str
    kind: str
    version: str
    decided_by: str
    requested_by: str
    reason: str
    serves: tuple[str, ...]
    evidence: str
    policy: str
    semantic_version: str


@dataclass(frozen=True)
class Intact:
    """A ledger in which everything holds; ``head`` is what to note elsewhere."""

    workload: str
    entries: int
    head: Anchor | None


def events(store: Store, trust: Trust, workload: str, ring: str | None = None) -> tuple[Event, ...]:
    """Return what happened to *workload* (in *ring*), oldest first, stops of its line and experiments among it."""
    own = (entry for entry in ledger.read(store, workload, trust) if ring in (None, entry.ring))
    stops = (entry for entry in ledger.read(store, LINE, trust) if entry.ring in (EVERY_WORKLOAD, workload))
    tried = (_experiment(*each) for each in experiments.concluded(store, trust, workload, ring))
    found = [*(_event(store, entry) for entry in (*own, *stops)), *tried]
    return tuple(sorted(found, key=lambda event: (event.at, event.workload == LINE, event.number)))


def verified(
    store: Store, keys: Path, only: str | None = None, elsewhere: Mapping[str, Anchor] | None = None
) -> tuple[Intact, ...]:
    """Return every ledger (or *only* one), all of it verified; raises LedgerBroken with the first entry that is not.

    *elsewhere* is what somebody noted of its end, by workload; our own notes are held against it in any case.
    """
    trust, told = trusted_keys(keys), elsewhere or {}
    names = [only] if only else sorted({*ledger.workloads(store), *told})
    return tuple(_verified(store, keys, trust, name, told.get(name)) for name in names)


def entries(store: Store, trust: Trust, only: str | None = None) -> tuple[Entry, ...]:
    """Return the entries of every ledger, or of *only* one, oldest first in each; raises HomeDamaged, NotTrusted."""
    names = [only] if only else ledger.workloads(store)
    return tuple(entry for name in names for entry in ledger.read(store, name, trust))


def as_json(found: Iterable[Entry]) -> str:
    """Return entries as JSON, each with its digest."""
    return json.dumps([_row(entry) for entry in found], ensure_ascii=False, indent=2) + "\n"


def as_csv(found: Iterable[Entry]) -> str:
    """Return entries as CSV, each with its digest; text a spreadsheet would run begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*(each.name for each in fields(Entry)), "digest"])
    writer.writeheader()
    for entry in found:
        row = {**_row(entry), "serves": " ".join(entry.serves), "decisions": " ".join(entry.decisions)}
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return out.getvalue()


def _verified(store: Store, keys: Path, trust: Trust, workload: str, told: Anchor | None) -> Intact:
    try:
        noted = (*anchors.noted(store, keys, workload, trust), *([told] if told else []))
        broken = ledger.verify(store, trust, workload, *noted) or _cut_off(store, trust, workload)
    except (HomeDamaged, NotTrusted) as error:
        raise LedgerBroken(f"what bears witness to the ledger of {workload} was changed: {error}") from error
    if broken is not None:
        raise LedgerBroken(
            f"the ledger of {workload} is broken at entry {broken.number}: {broken.reason}. Keep it as it is for "
            f"whoever investigates, and restore ledger/{workload}/ from a backup: nothing is promoted meanwhile"
        )
    head = ledger.head_of(store, workload)
    return Intact(workload, ledger.number_of(head), Anchor(head.number, digest_of_entry(head)) if head else None)


def _cut_off(store: Store, trust: Trust, workload: str) -> Break | None:
    """Readers' signed copies bear witness too: none may be of an entry that the ledger does not have."""
    for key in store.list(f"champions/{workload}/"):
        seen = projections.serving(store, trust, workload, key.rpartition("/")[2].removesuffix(".json"))
        length = ledger.length(store, workload)
        if seen is not None and (seen.number > length or ledger.read_entry(store, workload, seen.number) != seen):
            return Break(min(seen.number, length + 1), f"it is not the signed copy of it that readers have in {key}")
    return None


def _event(store: Store, entry: Entry) -> Event:
    shared = {each.name: getattr(entry, each.name) for each in fields(Event) if each.name not in ASKED}
    dossier = _dossier(store, entry)
    told = {name: str(dossier.get(name, "")) for name in ASKED}
    return Event(**(shared | told))


def _experiment(begun: Experiment, ended: Conclusion) -> Event:
    return Event(
        at=ended.at,
        workload=begun.workload,
        number=begun.number,
        ring=begun.ring,
        kind="experiment",
        version=begun.treatment,
        decided_by=ended.by,
        requested_by=begun.by,
        reason=f"{ended.analysis.verdict}: {ended.analysis.sentence}. {ended.reason}",
        serves=(),
        evidence=ended.outcomes,
        policy="",
        semantic_version="",
    )


def _dossier(store: Store, entry: Entry) -> Mapping[str, object]:
    """Return what the entry was decided on, as it was written by whichever version; empty where that is no dossier."""
    key = blob_key(entry.evidence) if DIGEST.fullmatch(entry.evidence) else ""
    try:
        found = json.loads(read_bytes(store, key)) if key and store.head(key) else {}
    except (ValueError, HomeDamaged):
        return {}
    return found if isinstance(found, dict) else {}


def _row(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "digest": digest_of_entry(entry)}


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def told(found: Sequence[Event]) -> Iterator[str]:
    """Yield the history as lines for a terminal, two or three an entry."""
    for event in found:
        name = f"{event.semantic_version} ({event.version})" if event.semantic_version else event.version
        what = f"{event.kind} {name} in {event.ring}" if event.version else f"{event.kind} {event.ring}"
        asked = f", asked for by {event.requested_by}" if event.requested_by else ""
        yield f"{event.at}  {event.number:>4}  {what}, by {event.decided_by}{asked}"
        yield f"      {event.reason}"
        if event.evidence:
            yield f"      evidence {event.evidence[:16]}  policy {event.policy[:16]}  serves {', '.join(event.serves)}"
