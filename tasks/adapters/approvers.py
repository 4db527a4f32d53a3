"""Who may decide: ``deployments/approvers.yaml``, one value per person; strict, because a slip lets somebody in.

What a role may do is said by the policy of a ring; whether a signature is theirs by ``tokens``.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.adapters import strict_yaml
from tasks.adapters.policies import policies_folder
from tasks.adapters.settings import settings
from tasks.adapters.signing import Trust, fingerprint
from tasks.core.decisions import Approver
from tasks.errors import BadRequest, Misdeclared

NAME = r"[A-Za-z][A-Za-z0-9._@-]{0,63}"
KEY_TYPE = "ssh-ed25519"


class _Person(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=rf"^{NAME}$")]
    roles: Annotated[list[Literal["approver", "release-manager"]], Field(min_length=1)]
    key: str
    expires: date | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    # Nothing under the word is an empty list, so that the first lines can be pasted as they are.
    approvers: list[_Person] | None


def path_in_use() -> Path:
    """Return the list that is in use: the settings', else the installed one."""
    return settings().approvers or policies_folder().parent / "approvers.yaml"


def load(path: Path | None = None) -> tuple[Approver, ...]:
    """Return everybody who may decide; raises BadRequest if there is no list, Misdeclared if it is wrong anywhere."""
    where = path or path_in_use()
    try:
        content = _File.model_validate(strict_yaml.read(where))
    except FileNotFoundError as error:
        raise BadRequest(f"there is no list of approvers at {where}; point GREENLIGHT_APPROVERS at yours") from error
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise Misdeclared(f"the list of approvers {where} cannot be read: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Misdeclared(f"the list of approvers {where} is wrong: {problems}") from error
    people = tuple(_approver(where, each) for each in content.approvers or ())
    _refuse_twins(where, "name", [each.name.casefold() for each in people])
    _refuse_twins(where, "key", [each.fingerprint for each in people])
    return people


def trust(people: tuple[Approver, ...]) -> Trust:
    """Return the keys of *people* as those whose signatures count."""
    return Trust({each.fingerprint: _public(each.key) for each in people})


def entry(name: str, public_line: str) -> str:
    """Return the lines to add to approvers.yaml for a new key."""
    return f"  - name: {name}\n    roles: [approver]\n    key: {public_line.strip()}\n"


def _approver(where: Path, person: _Person) -> Approver:
    try:
        key = _public(person.key)
    except (ValueError, UnsupportedAlgorithm) as error:
        found = person.key.split()[0] if person.key.split() else "nothing"
        raise Misdeclared(
            f"the list of approvers {where}: the key of {person.name} is {found!r}, wanted one {KEY_TYPE} line as in "
            f"the .pub file that greenlight key new makes ({error})"
        ) from error
    return Approver(person.name, tuple(person.roles), person.key, fingerprint(key), person.expires)


def _public(line: str) -> Ed25519PublicKey:
    # Certificates and several lines would be read too, by their first part; only a bare key is meant.
    if not line.startswith(f"{KEY_TYPE} ") or "\n" in line.strip():
        raise ValueError(f"no single {KEY_TYPE} line")
    key = load_ssh_public_key(line.strip().encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"a {type(key).__name__}")
    return key


def _refuse_twins(where: Path, what: str, values: list[str]) -> None:
    twins = sorted(value for value, times in Counter(values).items() if times > 1)
    if twins:
        raise Misdeclared(
            f"the list of approvers {where} has the {what} {twins[0]} more than once: one person, one name, one key, "
            "or two approvals could come from one hand"
        )
