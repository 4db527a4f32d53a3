"""The page a decision is made on, gathered from real bundles, a real ledger and what people said, and kept."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter

from tasks.adapters import (
    appraisals,
    bundles,
    contents,
    contests,
    decisions,
    dossier_pages,
    dossiers,
    journal,
    ledger,
    partitions,
    policies,
    requests,
    shadows,
)
from tasks.adapters.blobs import blob_key
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.adapters.store import read_bytes
from tasks.core.appraisal import Appraisal, Beside, Realised
from tasks.core.digests import canonical_json, plain
from tasks.core.dossier import Dossier, rollback_target
from tasks.core.gates import NONE_YET, Incumbent
from tasks.core.page.dossier import render
from tasks.core.page.sheet import Landed, Mover, Sheet
from tasks.core.partitions import Partition, partition_key
from tasks.core.run import StageTime
from tasks.core.shadow import Cycle, Difference
from tasks.core.shadow import Mover as Moved
from tasks.core.values import Interval, Verdict
from tasks.workloads.spec import Gate
from tests.builders import shops
from tests.contesting import SPEC, Home
from tests.deciding import NOW, decision, dossier

HOSTILE = "<script>alert('owned')</script>"
TWIN = TypeAdapter(Sheet)


def later_shops() -> pl.DataFrame:
    """The shops of a year later; one has a name nobody gave it in good faith, and so has a town."""
    rows = shops(400, seed=2)
    return rows.with_columns(
        shop=pl.col("shop") + f" {HOSTILE}", town=pl.col("town").str.replace("Ayr", HOSTILE, literal=True)
    )


class Desk:
    """A challenger, a champion, and what is asked about the two."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.store, self.root = self.home.store, folder
        self.signer, self.trust = service_signer(self.home.keys), trusted_keys(self.home.keys)
        self.evidence = self.home.learnt(later_shops())
        self.challenger = contents.publish(self.store, self.home.keys, SPEC, self.evidence)
        drafted = replace(self.home.champion(shops(400)), number=0, evidence="e" * 64)
        self.champion = ledger.append(self.store, self.signer, drafted, 0)
        journal.append(folder, "shops", "run", StageTime("train", 12.0, 21.5, 796, peak_mib=512.0))
        journal.append(folder, "shops", "run", StageTime("write page", 5.0, 5.0))

    def copied_to(self, folder: Path) -> Desk:
        """Return the same desk in a home that was copied to *folder*."""
        same = copy.copy(self)
        same.store, same.root = DirectoryStore(folder / "store"), folder
        same.home = Home(folder)
        return same

    def asked(self, champion: Incumbent | None = None, ring: str = "dev", **changes) -> Dossier:
        """Ask whether the challenger shall replace the champion; NONE_YET asks about a first model."""
        incumbent = champion or Incumbent(
            self.champion.version, ("sales",), self.champion.manifest_digest, self.champion.number
        )
        compared = contests.held_against(
            self.store, self.home.keys, SPEC, Gate(), self.evidence, self.champion
        ) if champion is None else ()  # fmt: skip
        manifest = bundles.read_manifest(self.store, self.trust, "shops", self.challenger.version)
        draft = dossier(
            ring=ring,
            version=self.challenger.version,
            run_key="run",
            manifest=manifest.digest,
            evidence=manifest.files[contents.EVIDENCE].digest,
            policy=policies.of(SPEC, ring).digest,
            champion=incumbent,
            rollback=rollback_target(incumbent),
            comparisons=compared,
            verdicts=(Verdict("leakage", "fail", HOSTILE, "no leak", HOSTILE),),
            **changes,
        )
        return requests.open_request(self.store, self.signer, self.trust, draft)

    def sheet(self, asked: Dossier, now: datetime = NOW) -> Sheet:
        return dossier_pages.gather(self.store, self.root, SPEC, asked, now)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """Two models take seconds to learn: once for all tests of this file."""
    return Desk(tmp_path_factory.mktemp("home"))


@pytest.fixture
def desk(learnt, tmp_path):
    """A copy of it."""
    shutil.copytree(learnt.root, tmp_path, dirs_exist_ok=True)
    return learnt.copied_to(tmp_path)


def test_page_and_twin_are_kept_say_the_same_and_are_drawn_again_alike(desk):
    asked = desk.asked()
    pages = dossier_pages.write(desk.store, desk.sheet(asked))
    page, twin = pages.html.read_bytes(), pages.json.read_bytes()
    assert read_bytes(desk.store, pages.html_key) == page
    back = TWIN.validate_json(twin)
    assert (back.dossier, back.digest) == (asked, asked.digest)
    assert render(back).encode() == page
    again = dossier_pages.write(desk.store, desk.sheet(asked, NOW + timedelta(minutes=5)))
    assert (again.html.read_bytes(), again.json.read_bytes()) == (page, twin)


def test_a_dossier_that_was_collected_while_its_request_stood_open_is_kept_again(desk):
    asked = desk.asked()
    desk.store.delete(blob_key(asked.digest))
    dossier_pages.write(desk.store, desk.sheet(asked))
    assert dossiers.read(desk.store, asked.digest) == asked


def test_the_page_has_both_models_side_by_side_and_what_the_run_cost(desk):
    found = desk.sheet(desk.asked())
    assert {each.side for each in found.fits} == {"challenger", "champion"}
    assert found.movers and all(each.champion != each.challenger for each in found.movers)
    assert {each.name for each in found.shifts} == {"area", "sales", "town", "visitors"}
    assert found.differences and found.champion_note == ""
    assert [each.stage for each in found.costs] == ["train"]
    assert (found.rollback.version, found.rollback.number) == (desk.champion.version, 1)


def test_a_first_model_has_nothing_beside_it(desk):
    found = desk.sheet(desk.asked(champion=NONE_YET))
    assert {each.side for each in found.fits} == {"challenger"}
    assert (found.movers, found.shifts, found.rollback, found.champion_note) == ((), (), None, "")
    assert all(each.before is None for each in found.differences)


def test_names_of_rows_and_words_of_gates_reach_the_page_as_text(desk):
    pages = dossier_pages.write(desk.store, desk.sheet(desk.asked(requested_by=HOSTILE)))
    page = Path(pages.html).read_text()
    assert page.lower().count("<script") == 1
    assert page.count("&lt;script&gt;alert(") > 10


def test_what_people_said_and_what_came_of_it_is_told_without_another_digest(desk):
    asked = desk.asked()
    before = desk.sheet(asked)
    decisions.record(desk.store, desk.signer, decision(asked, kind="hold", reason="wait for the new season"))
    said = desk.sheet(asked)
    assert [(each.kind, each.approver, each.reason) for each in said.asking.said] == [
        ("hold", "alice", "wait for the new season")
    ]
    requests.close_request(desk.store, desk.signer, desk.trust, asked, "held", at=NOW.isoformat(), number=0)
    assert desk.sheet(asked).came.state == "held"
    assert before.digest == said.digest == asked.digest


def test_a_champion_that_cannot_be_read_any_more_is_said_and_no_dead_end(desk):
    asked = desk.asked()
    manifest = bundles.read_manifest(desk.store, desk.trust, "shops", desk.champion.version)
    desk.store.delete(blob_key(manifest.files[contents.PROFILE].digest))
    found = desk.sheet(asked)
    assert "cannot be read any more" in found.champion_note
    assert (found.movers, found.shifts) == ((), ())
    assert "cannot be read any more" in render(found)


def test_what_moved_most_is_of_the_newest_batch_both_have_scored(desk):
    asked = desk.asked()
    moved = Difference("sales", 900, 0.0, 0.1, 1.0, 10, 0.0, (Moved("shop 7", 80.0, 160.0),), ())
    day = asked.requested_at[:10]
    batch = Cycle("shops", "prod", day, "r", "s", desk.champion.version, asked.version, 900, (moved,), ())
    shadows.keep(desk.store, desk.signer, batch, None)
    shadows.keep(desk.store, desk.signer, replace(batch, date="2099-01-01", rows=1), None)
    found = desk.sheet(asked)
    assert (found.shadow, found.movers_of) == (batch, f"the 900 rows scored in prod on {day}")
    assert found.movers == (Mover("sales", None, "shop 7", None, 80.0, 160.0),)
    assert TWIN.validate_json(canonical_json(found)) == found


def appraised(desk, asked, date, snapshot="s"):
    """Keep what came true of a day in prod on which champion and challenger answered the same 300 rows."""
    error, smaller = Interval(10.0, 9.0, 11.0), Interval(-0.2, -0.3, -0.1)
    ours = Realised("sales", 300, 300, error, Interval(0.4, 0.3, 0.5), Interval(0.9, 0.8, 1.0), None)
    theirs = Beside("sales", asked.version, 300, Interval(8.0, 7.0, 9.0), smaller)
    made = Appraisal(
        "shops", "prod", date, "r", snapshot, desk.champion.version, 1, 9.0, 300, (), (ours,), (),
        (replace(theirs, version="v-another"), theirs), ("v-another", asked.version), (),
    )  # fmt: skip
    record = Partition(appraisals.KIND, "shops", date, "prod", "r", {}, plain(made))
    partitions.publish(desk.store, desk.signer, record, source=desk.store, replaces="")
    cycle = Cycle("shops", "prod", date, "r", snapshot, desk.champion.version, asked.version, 300, (), ())
    shadows.keep(desk.store, desk.signer, cycle, None)
    return Landed("prod", date, "sales", 300, 300, error, theirs.mae, smaller)


def test_what_came_true_of_the_batches_both_have_scored_is_told_once_its_labels_have_landed(desk):
    asked = desk.asked()
    day = asked.requested_at[:10]
    first = appraised(desk, asked, "2026-11-01")
    appraised(desk, asked, "2026-11-02")
    third = appraised(desk, asked, day, "other rows")
    appraised(desk, asked, "2099-01-01", "rows of later")
    found = desk.sheet(asked)
    assert found.landed == (first, third) and found.landed_note == ""
    assert TWIN.validate_json(canonical_json(found)) == found
    assert desk.sheet(desk.asked(champion=NONE_YET)).landed == ()

    desk.store.put(partition_key(appraisals.KIND, "shops", day, "prod"), b"{}")
    found = desk.sheet(asked)
    assert found.landed == () and "cannot be read" in found.landed_note


def test_two_rings_have_pages_of_their_own(desk):
    first, second = desk.asked(), desk.asked(ring="prod")
    pages = [dossier_pages.write(desk.store, desk.sheet(each)) for each in (first, second)]
    twins = [TWIN.validate_json(each.json.read_bytes()) for each in pages]
    assert [each.dossier for each in twins] == [first, second]
    assert [each.asking.signature for each in twins] == [False, True]
