"""What serves in a ring: the ledger's newest word, and the bundle it let out, opened by the verified path.

For whoever scores or checks. Whether it may serve was decided before; letting it out is the ledger's part.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.adapters import contents, ledger, policies
from tasks.adapters.bundles import Bundle
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import Store
from tasks.core.values import Entry
from tasks.errors import BadRequest, NotTrusted


@dataclass(frozen=True)
class Serving:
    """The ledger entry by which it serves, and its verified bundle."""

    entry: Entry
    bundle: Bundle


def champion(store: Store, keys: Path, workload: str, ring: str) -> Entry:
    """Return what the ledger says serves in *ring*; raises BadRequest if nothing does, or there is no such ring."""
    entry = ledger.champion(store, workload, ring, trusted_keys(keys))
    if entry is None:
        policies.load(ring)
        trusted = trusted_keys(keys)
        served = [each for each in policies.rings() if ledger.champion(store, workload, each, trusted)]
        there = f"one serves in {' and '.join(served)}: add --ring {served[-1]}, or " if served else ""
        raise BadRequest(
            f"{workload} has no champion in {ring} in {store.uri}; {there}let one out: greenlight run {workload} "
            f"--source PATH --to-ring {ring}"
        )
    return entry


def opened(store: Store, keys: Path, entry: Entry) -> Bundle:
    """Return the bundle that *entry* let out, every byte verified; raises NotTrusted where it is another one."""
    bundle = contents.open_verified(store, keys, entry.workload, entry.version)
    if bundle.manifest.digest != entry.manifest_digest:
        raise NotTrusted(
            f"the bundle {entry.version} of {entry.workload} has the digest {bundle.manifest.digest}, the ledger let "
            f"out {entry.manifest_digest}; restore the bundle from a backup"
        )
    return bundle


def open_champion(store: Store, keys: Path, workload: str, ring: str) -> Serving:
    """Return what serves in *ring* with its verified bundle."""
    entry = champion(store, keys, workload, ring)
    return Serving(entry, opened(store, keys, entry))
