"""Gathers what a dossier's page says, out of both bundles, the journal and the decisions, and keeps page and twin.

``dossiers/<workload>/<digest>.html`` and ``.json`` in the store say the same. They may be drawn again at any time: only
what came of the request, what people said, what was scored on the day it was asked, and what is known of the truth of
what was scored until then, can have changed. What they say and how belongs to the core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from tasks.adapters import (
    appraisals,
    approvers,
    bundle_facts,
    contents,
    contests,
    decisions,
    dossiers,
    frames,
    journal,
    ledger,
    policies,
    requests,
    shadows,
    sweeps,
    variants,
)
from tasks.adapters.bundles import Bundle
from tasks.adapters.decisions import Rules, Told
from tasks.adapters.policies import Policy
from tasks.adapters.signing import Trust, trusted_keys
from tasks.adapters.store import Store, local_file
from tasks.core import differences
from tasks.core.decisions import Wants
from tasks.core.digests import canonical_json
from tasks.core.dossier import Dossier
from tasks.core.evidence import Evidence
from tasks.core.page import beside, dossier_wording
from tasks.core.page.candidates import tried
from tasks.core.page.dossier import render
from tasks.core.page.reliability import meant_of
from tasks.core.page.sheet import Asking, Came, Fit, Landed, Mover, Ran, Rollback, Said, Sheet, TargetFacts
from tasks.core.profile_shift import Shift, shifts
from tasks.core.run import StageTime
from tasks.core.shadow import Cycle
from tasks.core.values import Evaluation
from tasks.errors import BadRequest, HomeDamaged, NotTrusted
from tasks.workloads.spec import Workload

DIGITS = 16
# The stages from the rows to the judgement; what comes after the dossier would change its page.
AFTERWARDS = frozenset({"open request", "write dossier", "decide", "project", "write page", "close request"})
HOLDOUT = "the challenger's holdout; no batch has been scored by both yet"


@dataclass(frozen=True)
class Pages:
    """A dossier's page and its twin as files of this machine, and where the store keeps the page."""

    html: Path
    json: Path
    html_key: str


def gather(store: Store, root: Path, spec: Workload, dossier: Dossier, now: datetime) -> Sheet:
    """Return everything the page of *dossier* says *now*: decisions are judged at that moment, all else is as it was.

    A champion that cannot be opened any more is told in ``champion_note`` and shown as far as the dossier knows it.
    """
    return _Desk(store, root, spec, dossier).sheet(now)


def keys(dossier: Dossier) -> dict[str, str]:
    """Return where the page and its twin lie."""
    name = f"dossiers/{dossier.workload}/{dossier.digest[:DIGITS]}"
    return {"dossier": f"{name}.html", "twin": f"{name}.json"}


def write(store: Store, sheet: Sheet) -> Pages:
    """Keep the page and its twin, and say where; the twin names the dossier, which therefore is kept as long."""
    html, twin = keys(sheet.dossier).values()
    sweep, blob = sweeps.standing(store), dossiers.keep(store, sheet.dossier)
    store.put(html, render(sheet).encode())
    store.put(twin, canonical_json(sheet))
    sweeps.outlive(store, sweep, [blob], lambda: dossiers.keep(store, sheet.dossier), twin)
    return Pages(local_file(store, html), local_file(store, twin), html)


@dataclass(frozen=True)
class _Desk:
    store: Store
    root: Path
    spec: Workload
    dossier: Dossier

    def sheet(self, now: datetime) -> Sheet:
        fits, moved = tuple(self._fits()), tuple(self._movers())
        return Sheet(
            title=self.spec.title,
            entity=self.spec.entity,
            digest=self.dossier.digest,
            dossier=self.dossier,
            came=self._came(),
            question=dossier_wording.question(self.dossier),
            answer=dossier_wording.answer(self.dossier),
            targets=tuple(self._target(each) for each in self._evidence.evaluations),
            differences=differences.differences(self._known_champion, self._known(self._bundle)),
            champion_note=self._champion_note,
            shifts=self._shifts(),
            fits=fits,
            movers=moved,
            movers_of=self._movers_of(),
            lineage=self._lineage(),
            costs=self._costs(),
            rollback=self._rollback(),
            asking=self._asking(now),
            shadow=self._shadow,
            landed=self._landed if isinstance(self._landed, tuple) else (),
            landed_note="" if isinstance(self._landed, tuple) else self._landed,
            variants=tuple(self._variants()),
        )

    def _target(self, each: Evaluation) -> TargetFacts:
        target, policy = self.spec.target(each.target), self._policy
        return TargetFacts(
            name=each.target,
            meaning=target.meaning,
            unit=target.unit,
            log=beside.logs(target),
            algorithm=each.algorithm,
            describes=each.describes,
            rows_holdout=each.rows_holdout,
            mae=each.mae,
            skill=each.skill,
            least_skill=policy.tightened(self.spec.gate).min_skill,
            baseline=each.baseline,
            coverage=each.coverage,
            coverage_least=round(each.coverage_wanted - policy.coverage_slack, 9),
            coverage_wanted=each.coverage_wanted,
            told=(*each.told, tried(self._evidence.scorecards, target)),
            meant=meant_of(each),
        )

    def _variants(self) -> Iterator[Ran]:
        if not any(each.variants for each in self._evidence.evaluations):
            return
        speeds = variants.noted(self.store, self._trust, self.dossier.workload, self.dossier.version)
        for each in self._evidence.evaluations:
            timed = speeds.get(each.target, {})
            yield from (Ran(each.target, score, timed.get(score.name)) for score in each.variants)

    def _fits(self) -> Iterator[Fit]:
        """Yield the challenger's fit and, on the very same rows, the champion's where it could be asked."""
        for each in self._evidence.evaluations:
            target, shared = self.spec.target(each.target), self._beside.get(each.target)
            rows = shared if shared is not None else frames.read(self.store, each.predictions)
            yield beside.fits(target, rows, "challenger")
            if shared is not None:
                yield beside.fits(target, beside.as_champion(shared), "champion")

    def _movers(self) -> Iterator[Mover]:
        if self._shadow is not None:
            yield from beside.scored_movers(self._shadow)
            return
        for name, rows in self._beside.items():
            yield from beside.movers(self.spec.target(name), rows)

    def _movers_of(self) -> str:
        batch = self._shadow
        return f"the {batch.rows:,} rows scored in {batch.ring} on {batch.date}" if batch else HOLDOUT

    def _shifts(self) -> tuple[Shift, ...]:
        if self._champion is None:
            return ()
        columns = {target.column for target in self.spec.targets}
        return shifts(self._champion.read(contents.PROFILE), self._bundle.read(contents.PROFILE), columns)

    def _lineage(self) -> tuple[tuple[str, str], ...]:
        known = self._bundle.manifest.lineage
        road = ("source", "snapshot", "accepted", "training set")
        of_code = {"feature definitions": "features", "feature code": contents.DERIVED, "code": "code"}
        return (
            *((name, known[name]) for name in road if name in known),
            ("bundle", self.dossier.manifest),
            ("evaluation", self.dossier.evidence),
            *((name, known[key]) for name, key in of_code.items() if key in known),
            ("policy of the ring", self.dossier.policy),
            ("dossier", self.dossier.digest),
        )

    def _costs(self) -> tuple[StageTime, ...]:
        times = journal.read(self.root, self.dossier.workload, self.dossier.run_key)
        return tuple(each for each in times if each.stage not in AFTERWARDS)

    def _rollback(self) -> Rollback | None:
        target = self.dossier.rollback
        if target is None:
            return None
        seconds = self.dossier.rollback_rehearsal.seconds if self.dossier.rollback_rehearsal else None
        told = [each for each in self.dossier.verdicts if "rollback" in each.gate]
        rehearsed = "; ".join(f"{each.outcome}: {each.found}" for each in told)
        return Rollback(target.version, target.number, target.manifest, seconds, rehearsed)

    def _came(self) -> Came:
        closed = requests.closed_request(self.store, self._trust, self.dossier)
        return Came(closed.outcome, closed.at, closed.number) if closed else Came("open")

    def _asking(self, now: datetime) -> Asking:
        policy, people = self._policy, approvers.load()
        rules = Rules(people, policy.wants, self._trust)
        told = decisions.decisions_on(self.store, self.dossier, rules, now)
        return Asking(
            automatic=policy.automatic,
            signature=policy.wants.signature,
            approvals=policy.wants.approvals,
            roles=policy.wants.roles,
            min_reason=policy.wants.min_reason,
            people=tuple(each.name for each in people if self._may(each.name, each.roles, policy.wants)),
            commands=dossier_wording.commands(self.dossier, policy.wants),
            said=tuple(sorted(map(_said, told), key=lambda each: (each.at, each.approver))),
            stands=decisions.settle(self.store, self.dossier, rules, now).sentence,
        )

    def _may(self, name: str, roles: tuple[str, ...], wants: Wants) -> bool:
        asked = name.casefold() == self.dossier.requested_by.casefold()
        return not asked and (not wants.roles or bool(set(roles) & set(wants.roles)))

    @cached_property
    def _beside(self) -> Mapping[str, pl.DataFrame]:
        """Return, per target that was compared, the shared rows with either's predictions."""
        targets = [each.target for each in self.dossier.comparisons if each.change is not None]
        if self._champion is None or not targets:
            return {}
        entry = ledger.read_entry(self.store, self.dossier.workload, self.dossier.champion.number, self._trust)
        gate = self._evidence.measured_for
        return contests.side_by_side(self.store, self.root / "keys", self.spec, gate, self._evidence, entry, targets)

    @cached_property
    def _shadow(self) -> Cycle | None:
        """The newest batch both have scored by the day it was asked: what came later was not there to decide on."""
        asked, champion = self.dossier, self.dossier.champion.version
        if not champion:
            return None
        until, targets = asked.requested_at[:10], [each.target for each in self._evidence.evaluations]
        found = shadows.newest_beside(
            self.store, self._trust, asked.workload, asked.version, champion, asked.ring, until
        )
        known = found and tuple(each for each in found.differences if each.target in targets)
        return replace(found, differences=known) if found and known else None

    @cached_property
    def _landed(self) -> tuple[Landed, ...] | str:
        """What is known by now of the truth of the newest batches both had scored by then, or why it cannot be read."""
        asked, champion = self.dossier, self.dossier.champion.version
        if not champion:
            return ()
        both = shadows.days(self.store, asked.workload, asked.version, asked.ring)
        until, targets = asked.requested_at[:10], [each.target for each in self._evidence.evaluations]
        days = [(day, ring) for day, ring in both if day <= until][-appraisals.NEWEST :]
        try:
            known = appraisals.of_days(self.store, self.root / "keys", asked.workload, days)
        except (HomeDamaged, NotTrusted) as error:
            return f"What came true of the batches both have scored cannot be read: {error}"
        return beside.landed(known, champion, asked.version, targets)

    @cached_property
    def _policy(self) -> Policy:
        """The ring's policy as it is now: one that was changed since refuses every answer, and says so itself."""
        if self.dossier.break_glass:
            return policies.breaking_glass(self.spec, self.dossier.ring)
        return policies.of(self.spec, self.dossier.ring)

    @cached_property
    def _trust(self) -> Trust:
        return trusted_keys(self.root / "keys")

    @cached_property
    def _bundle(self) -> Bundle:
        return self._opened(self.dossier.version)

    @cached_property
    def _evidence(self) -> Evidence:
        return contents.evidence_of(self._bundle)

    @cached_property
    def _found_champion(self) -> Bundle | str:
        try:
            found = self._opened(self.dossier.champion.version)
            contents.evidence_of(found)
        except (BadRequest, HomeDamaged, NotTrusted) as error:
            return f"The champion's bundle cannot be read any more, so little can be held beside it: {error}"
        return found

    @property
    def _champion(self) -> Bundle | None:
        found = self._found_champion if self.dossier.champion.version else ""
        return None if isinstance(found, str) else found

    @property
    def _champion_note(self) -> str:
        if not self.dossier.champion.version:
            return ""
        return self._found_champion if isinstance(self._found_champion, str) else ""

    @property
    def _known_champion(self) -> differences.Known | None:
        return None if self._champion is None else self._known(self._champion)

    def _opened(self, version: str) -> Bundle:
        return contents.open_verified(self.store, self.root / "keys", self.dossier.workload, version)

    def _known(self, bundle: Bundle) -> differences.Known:
        mine = bundle.manifest.digest == self.dossier.manifest
        serves = self.dossier.serves if mine else self.dossier.champion.serves
        return bundle_facts.known(self.store, self.spec, bundle, serves)


def _said(told: Told) -> Said:
    made = told.decision
    if made is None:
        return Said("unreadable", "nobody known", "", "", "", told.verified, told.refused)
    return Said(made.kind, made.approver, made.reason, made.at, made.expires_at, told.verified, told.refused)
