"""When a challenger's evidence was measured: noted once, signed, when its bundle is published.

A bundle holds no time, so that the same rows give the same bundle; the same bundle made again keeps its first date.
"""

from __future__ import annotations

from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.errors import AlreadyExists

FORM = "greenlight.measured/1"


def note(store: Store, signer: Signer, workload: str, version: str, at: str) -> str:
    """Note that the evidence of *version* is of *at* (ISO 8601, UTC), unless it has a date; return the date it has."""
    key = _key(workload, version)
    try:
        store.put(key, seal(signer, FORM, {"workload": workload, "version": version, "at": at}), if_absent=True)
    except AlreadyExists:
        return when(store, signer.trust(), workload, version)
    return at


def when(store: Store, trust: Trust, workload: str, version: str) -> str:
    """Return when the evidence of *version* was measured, empty where nobody noted it; raises NotTrusted."""
    key = _key(workload, version)
    if store.head(key) is None:
        return ""
    noted = unseal(trust, FORM, read_bytes(store, key), key)
    is_of = (noted.get("workload"), noted.get("version")) == (workload, version)
    return str(noted.get("at", "")) if is_of else ""


def _key(workload: str, version: str) -> str:
    return f"measured/{workload}/{version}.json"
