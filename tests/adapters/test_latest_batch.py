"""What a challenger learned from beside the newest batch that was kept of its ring, in a real store."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tasks.adapters import bundles, contents
from tasks.adapters.blobs import blob_key, put_blob
from tasks.adapters.cases import latest_batch
from tasks.core.batch_counts import count_rows
from tasks.core.digests import canonical_json
from tasks.core.gates import NOT_MONITORED
from tasks.core.manifest import About
from tasks.core.profile import build_profile
from tasks.core.watch import Observation
from tests.builders import shops, shops_spec
from tests.released import Released

SPEC = shops_spec()


@pytest.fixture
def shop(tmp_path):
    return Released(tmp_path / "home")


def learned_from(shop, rows: pl.DataFrame):
    files = {contents.PROFILE: build_profile(rows, SPEC, {})}
    made = bundles.publish(shop.store, shop.signer, "shops", files, About(("sales",)))
    return bundles.open_bundle(shop.store, shop.trust, "shops", made.version)


def monitored(shop, number: int, rows: pl.DataFrame, champion: bytes, severity="none", pooled=()) -> None:
    counts = canonical_json(count_rows(rows, {}, json.loads(champion)))
    seen = Observation(
        "shops", "prod", number, 1, "v", f"batch {number}", "rows.csv", "2026-11-21T10:00:00+00:00", rows.height,
        rows.height, severity, "", (), (), put_blob(shop.store, champion), put_blob(shop.store, counts), pooled=pooled,
    )  # fmt: skip
    shop.store.put(f"drift/shops/prod/{number:06}.json", canonical_json(seen))


def test_without_a_batch_there_is_none_to_compare_with(shop):
    assert latest_batch(shop.store, SPEC, "prod", learned_from(shop, shops(1000))) == NOT_MONITORED


def test_a_challenger_is_held_beside_the_newest_batch_of_its_ring_and_not_beside_the_champions_rows(shop):
    old = shops(2000, seed=1)
    new = old.with_columns(area=pl.col("area") * 10, visitors=pl.col("visitors") * 10)
    champion = build_profile(old, SPEC, {})
    monitored(shop, 1, old[:900], champion)
    monitored(shop, 2, new[1000:].drop("sales"), champion, "critical")
    monitored(shop, 3, old[:60], champion, "insufficient")
    stale = latest_batch(shop.store, SPEC, "prod", learned_from(shop, old))
    assert (stale.number, {each.column for each in stale.drift.drifted}) == (2, {"area", "visitors"})
    fresh = latest_batch(shop.store, SPEC, "prod", learned_from(shop, new))
    assert (fresh.number, fresh.drift.drifted, fresh.drift.rows) == (2, (), 1000)
    assert latest_batch(shop.store, SPEC, "qa", learned_from(shop, old)) == NOT_MONITORED


def test_batches_that_told_only_together_are_compared_together(shop):
    rows = shops(2000)
    champion = build_profile(rows, SPEC, {})
    monitored(shop, 1, rows[:300], champion, "insufficient")
    monitored(shop, 2, rows[300:700], champion, pooled=(1,))
    assert latest_batch(shop.store, SPEC, "prod", learned_from(shop, rows)).drift.rows == 700


def test_a_batch_whose_counts_are_gone_is_for_a_person_and_no_dead_end(shop):
    rows = shops(1000)
    champion = build_profile(rows, SPEC, {})
    monitored(shop, 1, rows, champion)
    counts = canonical_json(count_rows(rows, {}, json.loads(champion)))
    shop.store.delete(blob_key(put_blob(shop.store, counts).digest))
    found = latest_batch(shop.store, SPEC, "prod", learned_from(shop, rows))
    assert (found.number, found.drift.columns) == (1, 0) and "the batch cannot be read" in found.drift.reason
