"""What each ring asks before it lets a challenger out: YAML files under ``deployments/policies``, read into one value.

How a verdict is reached belongs to the gates. The folder is found without importing the deployments, which lie above.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.adapters import strict_yaml
from tasks.core.decisions import Wants
from tasks.core.digests import digest_of
from tasks.core.dossier import Dossier
from tasks.core.gates import tightened
from tasks.core.rollback import Rule, Trigger
from tasks.core.shadow import Limits
from tasks.errors import BadRequest, Misdeclared
from tasks.workloads.spec import Gate, Workload

RING_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
BREAK_GLASS = "break-glass"


class AutomaticRollback(BaseModel):
    """What makes the ring roll back by itself, and how often in a row it must be seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trigger: Trigger = Field(description="what is observed of the champion")
    persistence: int = Field(ge=1, le=1000, description="bad observations in a row")

    @property
    def rule(self) -> Rule:
        """The rule observations are held against."""
        return Rule(self.trigger, self.persistence)


class Policy(BaseModel):
    """The policy of one ring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ring: str = Field(description="the ring it is for; the file is named after it")
    after: str | None = Field(default=None, description="the ring a challenger must have been let out in before")
    decision: Literal["automatic", "person", "signed"] = Field(
        default="person",
        description="who decides: the gates alone, whoever claims a name, or an approver by a signature",
    )
    automatic: bool = Field(description="another spelling of decision: automatic")
    breaks_glass: bool = Field(default=False, description="it is no ring: two people override failed gates with it")
    approvals: int = Field(default=1, ge=1, le=9, description="how many different people must greenlight")
    roles: tuple[Literal["approver", "release-manager"], ...] = Field(
        default=(), description="roles one of which each of them must hold; empty: any"
    )
    min_reason_characters: int = Field(default=10, ge=1, le=1000, description="how short a reason may be")
    expires_hours: int = Field(default=72, ge=1, le=720, description="how long a request waits for an answer")
    soak_cycles: int = Field(default=0, ge=0, le=1000, description="clean shadow cycles it must have behind it")
    # The interval is to miss a tenth of the truths. A challenger that leaves it twice as often, or that puts the rows
    # in another order, is another model: for a person to look at, not for a soak to pass.
    shadow_flip_rate_most: float = Field(
        default=0.2, ge=0, le=1, description="share of rows that may leave the champion's interval in a clean cycle"
    )
    shadow_rank_correlation_least: float = Field(
        default=0.7, ge=-1, le=1, description="how alike both must order the rows in a clean cycle (Spearman)"
    )
    max_evidence_age_hours: int | None = Field(
        default=None, ge=1, description="how old its evaluation may be; none: any age will do"
    )
    max_rehearsal_age_hours: int | None = Field(
        default=None, ge=1, description="how long ago the rollback may have been rehearsed; none: it need not have been"
    )
    stores: int | None = Field(
        default=None, ge=1, le=16, description="how many stores must hold the bundle, the first counted; none: all"
    )
    refit_on_all: bool = Field(
        default=False, description="ship a model refitted on all rows instead of the evaluated one"
    )
    coverage_slack: float = Field(default=0.1, ge=0, le=0.2, description="how far interval coverage may fall short")
    gate: Mapping[str, float] = Field(default_factory=dict, description="numbers of the workload's gate it tightens")
    automatic_rollback: tuple[AutomaticRollback, ...] = Field(
        default=(), description="what rolls back and stops the line without asking anybody; at most once a promotion"
    )
    # A model that is broken is so in most rows; single odd ones are shown in the day's findings.
    scoring_error_share_most: float = Field(
        default=0.01, ge=0, le=1, description="share of a day's rows that may not be used before it is a bad day"
    )
    classes: Mapping[str, Mapping[str, float]] = Field(
        default_factory=lambda: {"standard": {}},
        description="by the policy class a workload declares: numbers it tightens further",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, content: Any) -> Any:
        """Let a policy say either ``automatic`` or ``decision``; one that says neither lacks the first."""
        if not isinstance(content, dict):
            return content
        if content.get("automatic") is True:
            return {"decision": "automatic", **content}
        return {"automatic": content["decision"] == "automatic", **content} if "decision" in content else content

    @model_validator(mode="after")
    def _without_contradiction(self) -> Self:
        if self.automatic != (self.decision == "automatic"):
            raise ValueError(f"automatic is {self.automatic} and decision is {self.decision}: say one of them")
        if self.breaks_glass and (self.decision != "signed" or self.approvals < 2):
            raise ValueError("to break the glass takes decision: signed, approvals: 2 or more")
        return self

    @property
    def digest(self) -> str:
        """The digest recorded in every ledger entry that was decided under this policy."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def wants(self) -> Wants:
        """What this ring asks of decisions."""
        return Wants(self.decision == "signed", self.approvals, self.roles, self.min_reason_characters)

    @property
    def shadow_limits(self) -> Limits:
        """How far from this ring's champion a challenger may be in a clean shadow cycle."""
        return Limits(self.shadow_flip_rate_most, self.shadow_rank_correlation_least)

    def tightened(self, gate: Gate) -> Gate:
        """Return the numbers a challenger is held to in this ring; raises Misdeclared for a laxer one."""
        return tightened(gate, self)


def load(ring: str, folder: Path | None = None) -> Policy:
    """Return the policy of *ring*; raises BadRequest if there is none, Misdeclared if its file is wrong."""
    where = folder or policies_folder()
    path = where / f"{ring}.yaml"
    if not RING_NAME.fullmatch(ring) or not path.is_file():
        known = ", ".join(sorted(each.stem for each in where.glob("*.yaml"))) or "none"
        raise BadRequest(f"there is no policy for the ring {ring!r} in {where}; known rings: {known}")
    policy = _parsed(path)
    if policy.ring != ring:
        raise Misdeclared(f"{path} says it is for the ring {policy.ring!r}, wanted {ring!r} as its name says")
    return policy


def of(spec: Workload, ring: str, folder: Path | None = None) -> Policy:
    """Return the policy of *ring* as it stands for *spec*'s policy class; raises Misdeclared if that is not known.

    What a class asks may only be stricter than what the ring asks of every workload.
    """
    policy = load(ring, folder)
    if spec.policy not in policy.classes:
        raise Misdeclared(
            f"workload {spec.name!r} is of the policy class {spec.policy!r}, which the ring {ring!r} does not have; "
            f"it has: {', '.join(sorted(policy.classes)) or 'none'}. Add it to the ring's policy, or declare another"
        )
    of_class = policy.model_copy(update={"gate": policy.classes[spec.policy]})
    of_class.tightened(policy.tightened(spec.gate))
    return policy.model_copy(update={"gate": {**policy.gate, **of_class.gate}})


def asked_under(spec: Workload, dossier: Dossier, folder: Path | None = None) -> Policy:
    """Return the policy *dossier* was asked under, as it stands now; raises BadRequest where it was changed since."""
    policy = breaking_glass(spec, dossier.ring, folder) if dossier.break_glass else of(spec, dossier.ring, folder)
    if policy.digest != dossier.policy:
        raise BadRequest(
            f"the policy of {dossier.ring} was changed ({policy.digest[:12]}…) since {dossier.workload} "
            f"{dossier.version} was judged under it ({dossier.policy[:12]}…): run promote again, and decide on what it "
            "asks then"
        )
    return policy


def breaking_glass(spec: Workload, ring: str, folder: Path | None = None) -> Policy:
    """Return what letting *spec* out in *ring* takes although gates failed: the ring's numbers, stricter people."""
    asks = of(spec, BREAK_GLASS, folder)
    usual = of(spec, ring, folder)
    return usual.model_copy(
        update={
            name: getattr(asks, name)
            for name in ("breaks_glass", "decision", "automatic", "approvals", "roles", "expires_hours")
        }
        | {"min_reason_characters": max(asks.min_reason_characters, usual.min_reason_characters)}
    )


def rings(folder: Path | None = None) -> tuple[str, ...]:
    """Return the rings in the order a challenger passes them; raises Misdeclared where they form no single row."""
    where = folder or policies_folder()
    found = [policy for policy in (load(path.stem, where) for path in where.glob("*.yaml")) if not policy.breaks_glass]
    following, row = {policy.after: policy.ring for policy in found}, [""]
    while (ring := following.pop(row[-1] or None, None)) is not None:
        row.append(ring)
    if len(row) - 1 != len(found):
        raise Misdeclared(
            f"the rings in {where} are {', '.join(sorted(policy.ring for policy in found))}, but only "
            f"{', '.join(row[1:]) or 'none'} follow one upon the other: each but the first must name another as 'after'"
        )
    return tuple(row[1:])


def next_ring(ring: str, folder: Path | None = None) -> str | None:
    """Return the ring that comes after *ring*, None after the last; raises BadRequest for what is no ring."""
    row = rings(folder)
    if ring not in row:
        raise BadRequest(f"{ring!r} is no ring; the rings are: {', '.join(row)}")
    return next(iter(row[row.index(ring) + 1 :]), None)


def measured_for(spec: Workload, ring: str) -> Workload:
    """Return *spec* with the numbers *ring* holds it to: what evidence meant for that ring is measured with."""
    return replace(spec, gate=of(spec, ring).tightened(spec.gate))


def policies_folder() -> Path:
    """Return where the installed policies lie, from a checkout or a wheel."""
    spec = find_spec("deployments")
    if spec is None or not spec.submodule_search_locations:
        raise BadRequest("the package 'deployments' with the policies is not installed; install greenlight again")
    return Path(next(iter(spec.submodule_search_locations))) / "policies"


def _parsed(path: Path) -> Policy:
    try:
        policy = Policy.model_validate(strict_yaml.read(path))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise Misdeclared(f"the policy {path} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Misdeclared(f"the policy {path} is wrong: {problems}") from error
    _only_gate_numbers(path, policy)
    return policy


def _only_gate_numbers(path: Path, policy: Policy) -> None:
    asked = {name for numbers in (policy.gate, *policy.classes.values()) for name in numbers}
    strangers = sorted(asked - set(Gate.__dataclass_fields__))
    if strangers:
        known = ", ".join(Gate.__dataclass_fields__)
        raise Misdeclared(f"the policy {path} tightens {', '.join(strangers)}, which no gate has; known: {known}")
