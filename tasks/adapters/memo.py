"""A stage's result is computed once for the same inputs and the same code; a killed run's rerun finds it here.

Only small values are kept; what is large is a blob they name. What a stage does is not known here. A result is signed:
it ends up in evidence that we sign, and whoever can write to the store must not be able to invent it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import sweeps
from tasks.adapters.blobs import has_blob
from tasks.adapters.provenance import code_digest
from tasks.adapters.signing import Signer, seal, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import digest_of, plain
from tasks.core.values import Blob
from tasks.errors import AlreadyExists, HomeDamaged, NotTrusted

FORM = "greenlight.stage/1"
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remembered(Generic[T]):
    """A stage's result, and whether it was already there."""

    value: T
    reused: bool


class _Unusable(Exception):
    """A kept result must be computed anew; never leaves this module."""


def remember(
    store: Store,
    signer: Signer,
    workload: str,
    stage: str,
    inputs: Mapping[str, Any],
    returns: type[T],
    compute: Callable[[], T],
) -> Remembered[T]:
    """Return what *compute* gave for these *inputs* and this code before, else compute and keep it.

    A kept result that is cut, altered, signed by nobody we trust, or names a blob that is gone or has another size is
    computed anew, and the reason is logged.
    """
    key = stage_key(workload, stage, inputs)
    adapter: TypeAdapter[T] = TypeAdapter(returns)
    anew = store.head(key) is not None
    if anew:
        try:
            return Remembered(_kept(store, signer, key, adapter), True)
        except _Unusable as reason:
            log.warning("%s/%s: the result kept in %s is computed anew: %s", workload, stage, key, reason)
    sweep = sweeps.standing(store)
    value = _keep(store, signer, key, inputs, compute(), adapter, anew=anew)
    sweeps.outlive(store, sweep, tuple(blobs_in(value)), compute, key)
    return Remembered(value, False)


def stage_key(workload: str, stage: str, inputs: Mapping[str, Any]) -> str:
    """Return where the result of *stage* for these *inputs* and this code is kept."""
    return f"stages/{workload}/{stage}/{digest_of({'inputs': inputs, 'code': code_digest()})}.json"


def _kept(store: Store, signer: Signer, key: str, adapter: TypeAdapter[T]) -> T:
    try:
        body = unseal(signer.trust(), FORM, read_bytes(store, key), key)
        if body["key"] != key:
            raise _Unusable(f"it was kept as {body['key']}")
        value = adapter.validate_python(json.loads(body["value"]))
    except (HomeDamaged, NotTrusted, ValueError, KeyError, TypeError, ValidationError) as error:
        raise _Unusable(f"it cannot be read ({str(error).splitlines()[0]})") from error
    for blob in blobs_in(value):
        if not has_blob(store, blob):
            raise _Unusable(f"the blob {blob.digest} of {blob.size} bytes is gone or has another size")
    return value


def _keep(
    store: Store,
    signer: Signer,
    key: str,
    inputs: Mapping[str, Any],
    value: T,
    adapter: TypeAdapter[T],
    *,
    anew: bool,
) -> T:
    content = plain(value)
    # As text, because what is signed is sorted and a mapping must come back in the order its stage gave it.
    text = json.dumps(content, allow_nan=False)
    body = {"key": key, "inputs": plain(inputs), "code": code_digest(), "value": text}
    try:
        store.put(key, seal(signer, FORM, body), if_absent=not anew)
    except AlreadyExists:
        log.info("%s was kept by another run meanwhile", key)
    # The value as it will be read back, so a first run and its rerun go on with the same thing.
    return adapter.validate_python(content)


def blobs_in(value: Any) -> Iterator[Blob]:
    """Yield every blob that *value* names, however deep."""
    if isinstance(value, Blob):
        yield value
    elif is_dataclass(value):
        for each in fields(value):
            yield from blobs_in(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from blobs_in(item)
    elif isinstance(value, tuple | list | set | frozenset):
        for item in value:
            yield from blobs_in(item)
