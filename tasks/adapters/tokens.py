"""A decision one can paste: signed by its author's key, in one line of letters, digits, '-' and '_'.

A token has one spelling: whatever is not byte for byte what its author's key signed is refused. Whether a decision
counts is not asked here.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import approvers as people
from tasks.adapters.signing import Signer, seal, unseal
from tasks.core.decisions import Approver, Decision
from tasks.core.digests import canonical_json, plain
from tasks.errors import BadRequest, HomeDamaged, NotTrusted

FORM = "greenlight.decision/1"
PREFIX = "gl1."
LONGEST = 20_000
DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)
FIELDS = {each.name for each in fields(Decision)}


@dataclass(frozen=True)
class SignedDecision:
    """A decision and the fingerprint of the key that signed it."""

    decision: Decision
    fingerprint: str


def sign(signer: Signer, decision: Decision) -> str:
    """Return *decision* as a token; the same decision by the same key is the same token."""
    raw = seal(signer, FORM, {"decision": plain(decision)})
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read(token: str, approvers: tuple[Approver, ...]) -> SignedDecision:
    """Return what a token says; line breaks a terminal or a form put in are ignored.

    Raises BadRequest for what is no token, NotTrusted if no listed key signed exactly this.
    """
    raw = _decoded("".join(token.split()))
    signed_by = _signed_by(raw)
    if signed_by not in {each.fingerprint for each in approvers}:
        raise NotTrusted(
            f"the token is signed by the key {signed_by}, which is none of the {len(approvers)} in approvers.yaml: "
            "it was never listed or has been removed"
        )
    body = unseal(people.trust(approvers), FORM, raw, "the token")
    if set(body) != {"decision"}:
        raise BadRequest(f"the token holds {', '.join(sorted(body))}; wanted a decision and nothing else")
    return SignedDecision(parsed(body["decision"], "the token"), signed_by)


def parsed(content: Any, what: str) -> Decision:
    """Return the decision in *content*; raises BadRequest for a field too many, too few or of another type."""
    found = set(content) if isinstance(content, dict) else set()
    if found != FIELDS:
        odd = ", ".join(sorted(found ^ FIELDS))
        raise BadRequest(f"{what} is no decision: these fields are missing or too many: {odd}")
    try:
        return DECISION.validate_python(content)
    except ValidationError as error:
        raise BadRequest(f"{what} is no decision: {error.errors()[0]['loc'][0]} is not what it should be") from error


def _decoded(text: str) -> bytes:
    if not text.startswith(PREFIX) or len(text) > LONGEST:
        raise BadRequest(
            f"that is no token: it has {len(text)} characters and should begin with {PREFIX!r}; paste the whole line "
            "that greenlight sign printed"
        )
    body = text.removeprefix(PREFIX)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        once = canonical_json(json.loads(raw)) == raw
    except (binascii.Error, ValueError, RecursionError, BadRequest) as error:
        raise _cut(text) from error
    if not once or base64.urlsafe_b64encode(raw).decode().rstrip("=") != body:
        raise _cut(text)
    return raw


def _signed_by(raw: bytes) -> str:
    try:
        unseal(None, FORM, raw, "the token")
    except HomeDamaged as error:
        raise BadRequest("the token bears no signature; paste what greenlight sign printed") from error
    return str(json.loads(raw)["signature"]["key"])


def _cut(text: str) -> BadRequest:
    return BadRequest(
        f"the token is cut or was changed ({len(text)} characters that are not one signed decision); paste the whole "
        "line that greenlight sign printed"
    )
