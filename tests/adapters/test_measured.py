"""When evidence was measured is noted once, and nobody else's note counts."""

from __future__ import annotations

import pytest

from tasks.adapters import measured
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer
from tasks.errors import HomeDamaged, NotTrusted

MONDAY, TUESDAY = "2026-11-16T09:00:00+00:00", "2026-11-17T09:00:00+00:00"


@pytest.fixture
def noted(tmp_path):
    store, signer = DirectoryStore(tmp_path / "store"), service_signer(tmp_path / "keys")
    measured.note(store, signer, "shops", "v1", MONDAY)
    return store, signer


def test_the_same_bundle_made_again_keeps_its_first_date(noted):
    store, signer = noted
    assert measured.note(store, signer, "shops", "v1", TUESDAY) == MONDAY
    assert measured.when(store, signer.trust(), "shops", "v1") == MONDAY


def test_a_bundle_nobody_noted_has_no_date(noted):
    assert measured.when(noted[0], noted[1].trust(), "shops", "v2") == ""


def test_the_date_of_another_bundle_does_not_count(noted):
    store, signer = noted
    path = store.local_path("measured/shops/v1.json")
    store.put("measured/shops/v2.json", path.read_bytes())
    assert measured.when(store, signer.trust(), "shops", "v2") == ""


def test_a_date_somebody_wrote_by_hand_is_not_believed(noted):
    store, signer = noted
    path = store.local_path("measured/shops/v1.json")
    store.put("measured/shops/v1.json", path.read_bytes().replace(b"2026-11-16", b"2026-11-19"))
    with pytest.raises((NotTrusted, HomeDamaged)):
        measured.when(store, signer.trust(), "shops", "v1")
