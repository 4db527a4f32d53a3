"""What an audit of 10,000 entries costs, against the one thing it cannot do without: checking 10,000 signatures."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tasks.adapters import history, ledger
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.digests import canonical_json
from tasks.core.ledger_chain import link
from tasks.core.values import Entry

ENTRIES = 10_000
TARGETS = ("subscribers", "earnings", "growth")
DRAFT = Entry("channels", 0, "promotion", "prod", "v" * 12, "m" * 64, TARGETS, "e" * 64, "p" * 64, "alice", "", "", "")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_audit_costs_little_more_than_its_signatures(tmp_path, capsys):
    store, keys = DirectoryStore(tmp_path / "store"), tmp_path / "keys"
    signer, head = service_signer(keys), None
    store.local_path(ledger.entry_key("channels", 1)).parent.mkdir(parents=True)
    for _ in range(ENTRIES):
        head = link(DRAFT, head)
        # Without waiting for the disk 10,000 times: how fast it appends is not asked here.
        store.local_path(ledger.entry_key("channels", head.number)).write_bytes(ledger.sealed(signer, head))

    wall, cpu = time.perf_counter(), time.process_time()
    (found,) = history.verified(store, keys)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert found.entries == ENTRIES

    (public,) = trusted_keys(keys).keys.values()
    signed = []
    for number in range(1, ENTRIES + 1):
        document = json.loads(store.local_path(ledger.entry_key("channels", number)).read_bytes())
        signature = base64.b64decode(document.pop("signature")["value"])
        signed.append((signature, canonical_json(document)))
    bare = time.process_time()
    for signature, content in signed:
        public.verify(signature, content)
    bare = time.process_time() - bare

    with capsys.disabled():
        print(f"\nledger verify, {ENTRIES:,} entries: {wall:.1f} s, {cpu:.1f} CPU s; signatures alone {bare:.1f} CPU s")
    # Measured 1.8 to 2.9 (3.3 to 3.8 s): the rest is reading, parsing and the chain.
    assert cpu < 4 * bare
