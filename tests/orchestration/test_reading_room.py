"""``greenlight dossier``: the page as whoever has to decide gets it, from a real run's home."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tasks.adapters import ledger
from tasks.adapters.directory import DirectoryStore
from tasks.core.page.dossier import render
from tasks.core.page.sheet import Sheet
from tests.command_line import said_plainly

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def finished(first_run, greenlight):
    """The command line on a copy of the finished home."""
    first_run.copied_to(greenlight.home)
    return greenlight


def test_the_page_is_that_of_what_was_decided_last_and_its_twin_gives_it_back(finished, tmp_path):
    entry = ledger.champion(DirectoryStore(finished.home / "store"), "channels", "dev")
    shown, twin = finished.each(
        ("dossier", "channels", "--out", tmp_path / "page.html"),
        ("dossier", "channels", "--ring", "dev", "--version", entry.version, "--json"),
    )
    assert shown.rc == 0, shown.err
    sentence, address = shown.out.splitlines()
    assert f"Shall channels {entry.version} be the first model to serve in dev?" in sentence
    assert (address, entry.evidence[:16] in sentence) == (str(tmp_path / "page.html"), True)
    assert (twin.rc, twin.value["digest"], twin.err) == (0, entry.evidence, "")
    sheet = TypeAdapter(Sheet).validate_python(twin.value)
    assert sheet.dossier.digest == entry.evidence
    page = (tmp_path / "page.html").read_text()
    assert render(sheet) == page
    kept = finished.home / f"store/dossiers/channels/{entry.evidence[:16]}"
    assert kept.with_suffix(".html").read_text() == page
    assert TypeAdapter(Sheet).validate_json(kept.with_suffix(".json").read_bytes()) == sheet


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("chanels",), "there is no workload 'chanels'"),
        (("channels", "--ring", "prod"), "nothing was ever asked about channels in prod; look at greenlight status"),
    ],
)
def test_where_there_is_no_page_one_sentence_says_why(greenlight, asked, said):
    assert said_plainly(greenlight("dossier", *asked), 2, said)
    assert not (greenlight.home / "store").exists()


def test_a_page_that_cannot_be_written_is_refused_and_nothing_is_lost(finished):
    done = finished("dossier", "channels", "--out", "/nowhere/page.html")
    assert said_plainly(done, 2, "the page cannot be written to /nowhere/page.html")
    assert list(Path(finished.home, "store/dossiers/channels").glob("*.html"))
