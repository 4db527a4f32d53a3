"""The ledger's end, noted in two more places, because a chain does not see its newest entries being cut off.

One note lies in the store, one beside the keys, where whoever can write the store cannot; both are signed. A note that
is behind the ledger is a crash between the two and is caught up; a ledger that is behind a note has lost its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import Store, located, open_store, read_bytes
from tasks.core.digests import plain
from tasks.core.ledger_chain import Anchor, digest_of_entry
from tasks.core.values import Entry
from tasks.errors import AlreadyExists, Conflict, HomeDamaged, NotTrusted

FORM = "greenlight.anchor/1"
ANCHOR: TypeAdapter[Anchor] = TypeAdapter(Anchor)


def anchor_key(workload: str) -> str:
    """Return where a note lies, in the store and under the keys."""
    return f"anchors/{workload}.json"


def noted(store: Store, keys: Path | None, workload: str, trust: Trust | None = None) -> tuple[Anchor, ...]:
    """Return what is noted of the ledger's end, at most one note a place.

    Ask before the ledger is read, or whatever is appended in between looks cut off. Raises HomeDamaged for a garbled
    note and, where *trust* is given, NotTrusted for a foreign one.
    """
    found = (_read(place, key, workload, trust) for place, key in _places(store, keys, workload))
    return tuple(anchor for anchor in found if anchor is not None)


def noted_beside(keys: Path, workload: str) -> Anchor | None:
    """Return what is noted beside the keys, None if this home never noted an end of the ledger."""
    return _read(_beside(keys), f"{workload}.json", workload, None)


def note(store: Store, signer: Signer, entry: Entry) -> tuple[str, ...]:
    """Note *entry* as the ledger's end wherever no later one is noted; return the addresses that were written."""
    anchor = Anchor(entry.number, digest_of_entry(entry))
    raw = seal(signer, FORM, {"workload": entry.workload, "anchor": plain(anchor)})
    places = _places(store, signer.keys, entry.workload)
    return tuple(located(place, key) for place, key in places if _noted(place, key, raw, entry))


def refuse_cut(noted: Sequence[Anchor], workload: str, length: int) -> None:
    """Raise HomeDamaged where an entry beyond the ledger's *length* was *noted* before the ledger was looked at."""
    furthest = max((anchor.number for anchor in noted), default=0)
    if furthest > length:
        raise HomeDamaged(
            f"the ledger of {workload} ends at entry {length}, but entry {furthest} was noted in "
            f"{anchor_key(workload)}: its end was cut off; restore ledger/{workload} from a backup, nothing is "
            "promoted meanwhile"
        )


def _places(store: Store, keys: Path | None, workload: str) -> Iterator[tuple[Store, str]]:
    yield store, anchor_key(workload)
    if keys is not None:
        yield _beside(keys), f"{workload}.json"


def _beside(keys: Path) -> Store:
    return open_store((keys / "anchors").absolute().as_uri())


def _noted(store: Store, key: str, raw: bytes, entry: Entry) -> bool:
    head, known = store.head(key), _read(store, key, entry.workload, None)
    if known is not None and known.number >= entry.number:
        return False
    try:
        store.put(key, raw, if_absent=head is None, if_match=head.version if head else None)
    except (AlreadyExists, Conflict):
        # Another append was noted meanwhile. Should it be the earlier one, the next append catches up.
        return False
    return True


def _read(store: Store, key: str, workload: str, trust: Trust | None) -> Anchor | None:
    if store.head(key) is None:
        return None
    body = unseal(trust, FORM, read_bytes(store, key), key)
    if body.get("workload") != workload:
        raise NotTrusted(f"{key} in {store.uri} notes the end of {body.get('workload')}, wanted {workload}: restore it")
    try:
        return ANCHOR.validate_python(body.get("anchor"))
    except ValidationError as error:
        raise HomeDamaged(f"{key} in {store.uri} is garbled; restore it from a backup") from error
