"""What approve, hold, reject and sign do: find the question, sign an answer, hand it in, and see what comes of it.

Parsing and printing are the command's part. What counts is the core's word, and what is promoted the promote flow's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks import workloads
from tasks.adapters import approvers, decisions, environment, home, key_files, policies, requests, settlement, tokens
from tasks.adapters.decisions import Rules
from tasks.adapters.settings import settings
from tasks.adapters.signing import Signer, Trust, trusted_keys
from tasks.core.decisions import Approver, Decision, Kind, moment
from tasks.core.dossier import Dossier
from tasks.errors import BadRequest, NotTrusted

Passphrase = Callable[[Path], str]

# Where a greenlight can end although it counted: what was judged since weighed more.
CAME_TO_NOTHING = frozenset({"not promoted", "expired", "superseded"})


@dataclass(frozen=True)
class Who:
    """Who decides: the name as it will stand in the ledger, and their key; without one the name is a mere claim."""

    name: str
    signer: Signer | None


@dataclass(frozen=True)
class Answered:
    """What came of a decision; ``entry`` is the ledger entry it led to, 0 if none (yet)."""

    workload: str
    ring: str
    version: str
    dossier: str
    decision: Kind
    approver: str
    verified: bool
    outcome: str
    entry: int
    sentence: str


def find_question(workload: str, ring: str | None, version: str | None) -> Dossier:
    """Return the one open request that is meant; raises BadRequest naming those there are if it is not one."""
    found = requests.open_requests(home.store(), trust(), workload, ring)
    meant = [each for each in found if version in (None, each.version)]
    if len(meant) == 1:
        return _as_asked(meant[0])
    where = f"{workload} in {ring}" if ring else workload
    if not meant:
        elsewhere = "; ".join(f"{each.version} in {each.ring}" for each in found)
        raise BadRequest(
            f"there is nothing to decide: no request of {where}{f' for {version}' if version else ''} is open"
            + (f"; open: {elsewhere}" if elsewhere else "; look at greenlight status, or at greenlight history")
        )
    each_one = "; ".join(f"--ring {each.ring} --version {each.version}" for each in meant)
    raise BadRequest(f"{len(meant)} requests of {where} are open; say which is meant: {each_one}")


def question(dossier: Dossier) -> str:
    """Return what is asked, in one sentence."""
    instead = f" instead of {dossier.champion.version}" if dossier.champion.version else ", where nothing serves yet"
    until = f", open until {dossier.expires_at}" if dossier.expires_at else ""
    return (
        f"Shall {dossier.workload} {dossier.version} serve {', '.join(dossier.serves) or 'nothing'} in "
        f"{dossier.ring}{instead}? Recommended: {dossier.recommendation}, because {dossier.because.rstrip('.')}. "
        f"(asked by {dossier.requested_by or 'nobody'} at {dossier.requested_at}{until}; dossier {dossier.digest[:12]})"
    )


def who(dossier: Dossier, key: Path | None, name: str | None, ask_passphrase: Passphrase) -> Who:
    """Return who decides: the owner of the key, or a claimed name where the ring asks for no signature."""
    path = key or settings().approver_key
    if path is None and rules(dossier).wants.signature:
        path = _only_key(name)
    if path is None:
        return Who(name or environment.user_name(), None)
    signer = key_files.read(path, lambda: ask_passphrase(path))
    return Who(name or _owner(signer, path, approvers.load()), signer)


def draft(dossier: Dossier, kind: Kind, name: str, reason: str, hours: float | None) -> Decision:
    """Return the decision to be signed; it lasts as long as the request, or *hours* if that is shorter."""
    now = datetime.now(UTC)
    ends = [moment(dossier.expires_at)] if dossier.expires_at else []
    ends += [now + timedelta(hours=hours)] if hours is not None else []
    return Decision(
        kind=kind,
        workload=dossier.workload,
        ring=dossier.ring,
        version=dossier.version,
        dossier=dossier.digest,
        nonce=dossier.nonce,
        approver=name,
        reason=" ".join(reason.split()),
        at=now.isoformat(timespec="seconds"),
        expires_at=min(ends).isoformat(timespec="seconds") if ends else "",
    )


def sign(dossier: Dossier, decision: Decision, signer: Signer) -> str:
    """Return the token; raises NotTrusted with every reason why it would not count."""
    token = tokens.sign(signer, decision)
    told = decisions.judged(home.store(), dossier, token, rules(dossier), datetime.now(UTC))
    _refuse(decision, told.refused)
    return token


def submit(dossier: Dossier, decision: Decision, signer: Signer | None) -> str:
    """Record the decision, signed if there is a key, and return its token; raises NotTrusted with the reasons."""
    token = tokens.sign(signer, decision) if signer else ""
    refused = decisions.submit(
        home.store(), home.signer(), dossier, token or decision, rules(dossier), datetime.now(UTC)
    )
    _refuse(decision, refused)
    return token


def waits(dossier: Dossier) -> bool:
    """Say whether more people must decide first, so that there is nothing to be carried out."""
    return decisions.settle(home.store(), dossier, rules(dossier), datetime.now(UTC)).state == "waiting"


def closed(dossier: Dossier) -> bool:
    """Say whether the request has come to its end."""
    return requests.closed_request(home.store(), trust(), dossier) is not None


def outcome(dossier: Dossier, decision: Decision, *, verified: bool, note: str = "") -> Answered:
    """Return what has come of *decision* by now, as the ledger and the requests have it."""
    state, said = _state(dossier)
    entry = settlement.noted(home.store(), dossier)
    unproven = "" if verified else ", an unverified name,"
    told = (
        f"{dossier.workload} {dossier.version} in {dossier.ring}: {said}{f' (ledger entry {entry})' if entry else ''}",
        f"{decision.kind} by {decision.approver}{unproven} is recorded",
        note,
    )
    return Answered(
        workload=dossier.workload,
        ring=dossier.ring,
        version=dossier.version,
        dossier=dossier.digest,
        decision=decision.kind,
        approver=decision.approver,
        verified=verified,
        outcome=state,
        entry=entry,
        sentence="; ".join(filter(None, told)),
    )


def rules(dossier: Dossier) -> Rules:
    """Return what decisions on *dossier* are judged by, here and now."""
    return decisions.rules(dossier, trust())


def trust() -> Trust:
    """Return the keys this home trusts."""
    return trusted_keys(home.root() / "keys")


def keys_folder() -> Path:
    """Return where new keys of approvers are put, closed to everybody else."""
    folder = home.root() / "keys" / "approvers"
    for each in (folder.parent, folder):
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _as_asked(dossier: Dossier) -> Dossier:
    """Return *dossier* if its ring's policy is still the one it was asked under; raises BadRequest otherwise."""
    policies.asked_under(workloads.get(dossier.workload), dossier)
    return dossier


def _state(dossier: Dossier) -> tuple[str, str]:
    """Return what the matter stands at, and how a person is told."""
    ended = requests.closed_request(home.store(), trust(), dossier)
    if ended is not None:
        return ended.outcome, ended.outcome
    settled = decisions.settle(home.store(), dossier, rules(dossier), datetime.now(UTC))
    pending = ", but nobody has acted on it yet: say it again" if settled.state in ("greenlit", "rejected") else ""
    return settled.state, settled.sentence + pending


def _refuse(decision: Decision, reasons: tuple[str, ...]) -> None:
    if reasons:
        raise NotTrusted(
            f"the {decision.kind} of {decision.workload} {decision.version} in {decision.ring} by "
            f"{decision.approver} does not count, nothing was recorded: {'; '.join(reasons)}"
        )


def _only_key(name: str | None) -> Path:
    """Return the key in the home: that of *name*, or the only one there is."""
    folder = home.root() / "keys" / "approvers"
    if name and (folder / name).is_file():
        return folder / name
    there = sorted(path for path in folder.glob("*") if path.is_file() and path.suffix != ".pub")
    if len(there) == 1 and not name:
        return there[0]
    names = ", ".join(path.name for path in there) or "none"
    raise BadRequest(
        f"this ring asks for a signature, and which key is yours is not clear (in {folder}: {names}); say --key PATH, "
        "or set GREENLIGHT_APPROVER_KEY, or make one: greenlight key new NAME"
    )


def _owner(signer: Signer, path: Path, people: tuple[Approver, ...]) -> str:
    names = [each.name for each in people if each.fingerprint == signer.fingerprint]
    if not names:
        raise NotTrusted(
            f"the key {path} ({signer.fingerprint}) is none of the {len(people)} in {approvers.path_in_use()}: it was "
            "never listed or has been removed; add the lines that greenlight key new printed"
        )
    return names[0]
