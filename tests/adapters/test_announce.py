"""What Prefect is told and shown of a promotion, and told again by a rerun; requests lie in a real store."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prefect.client.schemas.actions import ArtifactCreate

from tasks import announce as announcing
from tasks import page
from tasks.adapters import dossiers, home, requests, shadows
from tasks.adapters.shadows import Soaked
from tasks.core.run import Hearing, Promotion
from tasks.core.scoring import Scored, Skew
from tasks.core.shadow import Cycle
from tasks.core.values import Entry
from tests.deciding import dossier

ASKED = dossier(workload="channels", ring="dev", version="v-new", requested_by="carol")
NOW = datetime(2026, 11, 21, tzinfo=UTC).isoformat()


@pytest.fixture
def heard(monkeypatch, tmp_path):
    """What was emitted, on a home of its own."""
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path))
    told = []
    monkeypatch.setattr(announcing, "emit_event", lambda **event: told.append(event))
    return told


def came(status, kind="promotion"):
    entry = Entry("channels", 1, kind, "dev", "v-new", "", ("sales",), ASKED.digest, "", "policy dev", "why", NOW, "")
    return Promotion("channels", "v-new", "dev", 0, ASKED.digest, status, "why", (), entry.serves, entry, "")


def names(heard):
    return [event["event"] for event in heard]


def test_the_next_ring_is_asked_in_the_name_of_who_asked_first(heard):
    announcing.announce(ASKED, came("promoted"), onwards=True)
    assert names(heard) == ["champion.changed", "challenger.ready"]
    assert heard[1]["payload"]["ring"] == "qa"
    assert heard[1]["payload"]["requested_by"] == "carol"


def test_a_rerun_that_finds_it_promoted_tells_the_same_events_again(heard):
    announcing.announce(ASKED, came("promoted"), onwards=True)
    announcing.announce(ASKED, came("already champion"), onwards=True)
    assert heard[:2] == heard[2:]


def test_a_ring_that_was_asked_is_not_asked_by_a_rerun(heard):
    asked = dossier(workload="channels", ring="qa", version="v-new")
    signer = home.signer()
    asked = requests.open_request(home.store(), signer, signer.trust(), asked)
    announcing.announce(ASKED, came("already champion"), onwards=True)
    requests.close_request(home.store(), signer, signer.trust(), asked, "rejected", at=NOW)
    announcing.announce(ASKED, came("already champion"), onwards=True)
    assert names(heard) == ["champion.changed", "champion.changed"]


def test_the_command_line_goes_on_by_itself(heard):
    announcing.announce(ASKED, came("promoted"), onwards=False)
    assert names(heard) == ["champion.changed"]


def test_what_has_soaked_is_asked_about_in_the_name_of_who_asked_first_and_once(heard, monkeypatch):
    dossiers.keep(home.store(), ASKED)
    ripe = Soaked("v-new", "prod", 2, ASKED.digest)
    monkeypatch.setattr(shadows, "soaked", lambda *about: ripe if about[-1] == "v-new" else None)
    skew = Skew(0, 0, ())
    day = Scored("channels", "prod", "2026-11-20", "r", "v-old", "b", 1, "s", ("sales",), 9, 9, 0, (), skew, ())
    cycle = Cycle("channels", "prod", day.date, "r", "s", "v-old", "v-new", 9, (), ())
    announcing.announce_soaked(day, [cycle], onwards=False)
    assert heard == []
    for _ in range(2):
        announcing.announce_soaked(day, [cycle], onwards=True)
    first, again = heard
    assert first == again
    assert (first["event"], first["resource"]["prefect.resource.id"]) == ("challenger.ready", "workload.channels")
    assert first["payload"] == {
        "version": "v-new",
        "ring": "prod",
        "reason": "2 clean shadow cycles",
        "requested_by": "carol",
    }


def test_what_was_brought_back_by_a_rollback_is_not_announced_as_promoted(heard):
    announcing.announce(ASKED, came("already champion", kind="rollback"), onwards=True)
    assert heard == []


def test_the_page_of_a_workload_with_an_underscore_has_a_key_that_prefect_takes(monkeypatch):
    kept = []
    monkeypatch.setattr(
        page, "create_markdown_artifact", lambda _, **told: kept.append(ArtifactCreate(key=told["key"]))
    )
    hearing = Hearing("video_stats", "v-New", "dev", None, "key", "carol")
    page._link(hearing, came("promoted"), "file:///page.html")
    assert kept[0].key == "video-stats-v-new-dev"
