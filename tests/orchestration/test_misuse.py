"""What can be wrong with a request, its rows, its disk or its home: each ends as one sentence that says what to do."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.adapters import bundles
from tasks.adapters.signing import Signer, seal
from tests.command_line import CommandLine, Done, at_work_for, digests, end, stage_of

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1800)

YEARLY = ("lowest_yearly_earnings", "highest_yearly_earnings")
MONTHLY = ("lowest_monthly_earnings", "highest_monthly_earnings")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


def assert_one_sentence(done: Done, rc: int, *words: str) -> None:
    """A failed command says one sentence with these words, and nothing of Python's or of our libraries'."""
    assert done.rc == rc, (done.rc, done.out[-2000:], done.err[-3000:])
    assert "Traceback" not in done.err + done.out
    assert done.out == ""
    told = [line for line in done.err.splitlines() if not stage_of(line) and not line.startswith(("! ", "channels: "))]
    assert len(told) == 1, told
    assert told[0].startswith("greenlight: ")
    missing = [word for word in words if word not in told[0]]
    assert not missing, (missing, told[0])


@pytest.fixture(scope="session")
def rows(sources):
    return pl.read_csv(sources["first"], infer_schema=False)


@pytest.fixture
def run(greenlight, tmp_path):
    """Run channels on a source made of a frame, text or bytes."""

    def go(content: pl.DataFrame | bytes | Path, *more: str, name: str = "rows.csv") -> Done:
        source = content if isinstance(content, Path) else tmp_path / name
        if isinstance(content, pl.DataFrame):
            content.write_csv(source)
        elif isinstance(content, bytes):
            source.write_bytes(content)
        return greenlight("run", "channels", "--source", source, *more)

    return go


class TestRequests:
    """What a glance at the request shows."""

    def test_a_missing_file_is_named(self, run, tmp_path):
        assert_one_sentence(run(tmp_path / "absent.csv"), 2, "absent.csv", "does not exist")

    def test_an_empty_file_is_no_source(self, run):
        assert_one_sentence(run(b""), 2, "empty (0 bytes)", "give a CSV or Parquet file")

    def test_a_folder_without_data_is_no_source(self, run, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "notes.md").write_text("nothing here")
        assert_one_sentence(run(tmp_path / "folder"), 2, "notes.md", "give a folder with data in it")

    def test_an_unknown_workload_is_answered_with_the_known_ones(self, greenlight, sources):
        done = greenlight("run", "chanels", "--source", sources["first"])
        assert_one_sentence(done, 2, "chanels", "channels")

    def test_a_misspelt_option_is_named(self, greenlight):
        assert_one_sentence(greenlight("run", "channels", "--sorce", "x"), 2, "--sorce", "--help")

    def test_a_missing_option_is_named(self, greenlight):
        assert_one_sentence(greenlight("run", "channels"), 2, "--source", "--help")

    def test_a_date_that_is_none_is_refused_before_anything_is_read(self, run, rows):
        assert_one_sentence(run(rows, "--observed-at", "yesterday"), 2, "yesterday", "2026-11-21")

    def test_a_prediction_without_a_champion_says_how_to_get_one(self, greenlight, sources, tmp_path):
        done = greenlight("predict", "channels", "--source", sources["first"], "--out", tmp_path / "out.csv")
        assert_one_sentence(done, 2, "no champion", "greenlight run channels")

    def test_machines_are_told_in_json(self, run, tmp_path):
        done = run(tmp_path / "absent.csv", "--json")
        assert (done.rc, done.err) == (2, "")
        assert done.value["error"] == "SourceUnusable"
        assert done.value["exit_code"] == 2
        assert "absent.csv" in done.value["message"]

    def test_machines_are_told_of_misspelt_options_in_json_too(self, greenlight):
        done = greenlight("run", "channels", "--sorce", "x", "--json")
        assert (done.rc, done.err, done.value["error"]) == (2, "", "BadRequest")


class TestRows:
    """What only reading the rows shows; no such run leaves anything in the ledger."""

    @pytest.fixture(autouse=True)
    def nothing_is_promoted(self, greenlight):
        yield
        assert not (greenlight.home / "store" / "ledger").exists()
        assert list((greenlight.home / "tmp").glob("channels-*")) == []

    def test_a_header_alone_is_no_source(self, run, rows):
        assert_one_sentence(run(rows.head(0)), 2, "header and no rows")

    def test_a_picture_is_no_table(self, run):
        assert_one_sentence(run(PNG), 2, "rows.csv")

    def test_a_broken_gzip_is_named(self, run, rows):
        whole = gzip.compress(rows.write_csv().encode())
        assert_one_sentence(run(whole[: len(whole) // 2], name="rows.csv.gz"), 2, "rows.csv.gz")

    def test_a_missing_required_column_is_named(self, run, rows):
        assert_one_sentence(run(rows.drop("uploads")), 2, "uploads")

    def test_rows_that_all_break_a_rule_are_set_aside_and_nothing_is_trained(self, run, rows):
        assert_one_sentence(run(rows.with_columns(uploads=pl.lit("-5"))), 3, "300", "uploads")

    @pytest.mark.slow
    def test_constant_targets_are_refused_by_name(self, run, rows):
        same = rows.with_columns(
            pl.lit("30000000").alias("subscribers"),
            pl.lit("90000000000").alias("video views"),
            **{name: pl.lit("1000000") for name in YEARLY},
            **{name: pl.lit("100000") for name in MONTHLY},
            subscribers_for_last_30_days=pl.lit("1000"),
        )
        said = ("0 of 3 targets", "'subscribers' is 30,000,000", "'earnings' is", "'growth' is")
        assert_one_sentence(run(same), 3, *said)

    @pytest.mark.slow
    def test_fewer_rows_than_folds_are_too_few(self, run, rows):
        assert_one_sentence(run(rows.head(4)), 3, "rows")

    @pytest.mark.slow
    def test_sixty_rows_are_too_few(self, run, rows):
        done = run(rows.head(60))
        if done.rc == 0:
            assert "not promoted" in done.out
            assert "at least 100 rows" in done.out
        else:
            assert_one_sentence(done, 3, "rows")


class TestOneTarget:
    """A target that cannot be learned stops nobody but itself."""

    @pytest.mark.slow
    def test_a_constant_target_is_not_trained_and_the_others_are(self, run, rows, greenlight):
        same = rows.with_columns(pl.lit("30000000").alias("subscribers"), pl.lit("90000000000").alias("video views"))
        done = run(same)
        assert done.rc == 0, done.err
        assert "subscribers is not trained: target 'subscribers' is 30,000,000 in all" in done.out
        again = run(same, "--json").value
        assert list(again["untrained"]) == ["subscribers"]
        assert {each["target"] for each in again["evaluations"]} == {"earnings", "growth"}
        assert "subscribers" not in again["promotion"]["serves"]
        asked = [each for each in again["promotion"]["verdicts"] if each["target"] == "subscribers"]
        assert asked and asked[0]["outcome"] == "fail" and asked[0]["reason"].startswith("not trained: ")
        assert "Not trained: target" in Path(again["promotion"]["page"]).read_text()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 2 MB, if this machine lets us make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


class TestDisks:
    """A disk that is full or may not be written: nothing is half done, and the run goes on once that is mended."""

    @pytest.mark.slow
    def test_a_full_disk_is_said(self, greenlight, sources, small_disk):
        line = CommandLine(greenlight.checkout, greenlight.cwd, small_disk / "home", greenlight.settings)
        done = line("run", "channels", "--source", sources["first"])
        assert_one_sentence(done, 6, "home")
        assert re.search(r"No space left on device|disk is full", done.err)
        subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
        again = line("run", "channels", "--source", sources["first"], "--json")
        assert again.rc == 0, again.err
        assert again.value["promotion"]["entry"]["number"] == 1

    def test_a_disk_too_full_for_the_temporary_server_is_said(self, greenlight, sources, small_disk):
        line = CommandLine(greenlight.checkout, greenlight.cwd, small_disk / "home")
        done = line("run", "channels", "--source", sources["first"])
        assert_one_sentence(done, 6, "temporary Prefect server", "Free some space")
        assert at_work_for(line.home) == []

    def test_a_home_that_may_not_be_written_is_said(self, greenlight, sources, small_disk):
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        line = CommandLine(greenlight.checkout, greenlight.cwd, small_disk / "home", greenlight.settings)
        assert_one_sentence(line("run", "channels", "--source", sources["first"]), 6, "Read-only", "GREENLIGHT_HOME")

    def test_a_home_below_a_file_is_said(self, greenlight, sources, tmp_path):
        (tmp_path / "file").write_text("not a folder")
        line = CommandLine(greenlight.checkout, greenlight.cwd, tmp_path / "file" / "home", greenlight.settings)
        done = line("run", "channels", "--source", sources["first"])
        assert_one_sentence(done, 6, "Not a directory", "GREENLIGHT_HOME")


class TestDamage:
    """A home somebody or something has damaged: refused in a sentence, or mended; never believed."""

    @pytest.fixture
    def home(self, first_run, greenlight):
        first_run.copied_to(greenlight.home)
        return greenlight.home

    @pytest.fixture
    def again(self, home, greenlight, sources):
        return lambda *more: greenlight("run", "channels", "--source", sources["first"], *more)

    @pytest.mark.slow
    def test_a_missing_model_is_refused_by_readers_and_trained_again_by_a_run(self, home, greenlight, again, first_run):
        blob = _largest_model(home, first_run)
        blob.unlink()
        assert_one_sentence(greenlight("verify", "channels"), 4, "gone", "run again")
        done = again("--json")
        assert done.rc == 0, done.err
        assert done.value["promotion"]["version"] == first_run.done.value["promotion"]["version"]
        assert blob.is_file()
        assert greenlight("verify", "channels", "--json").value["entries"] == 1

    def test_a_flipped_byte_in_a_model_is_never_served(self, home, greenlight, sources, tmp_path, first_run):
        blob = _largest_model(home, first_run)
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
        done = greenlight("predict", "channels", "--source", sources["first"], "--out", tmp_path / "out.csv")
        assert_one_sentence(done, 4, "another digest")
        assert not (tmp_path / "out.csv").exists()

    @pytest.mark.slow
    def test_a_truncated_manifest_is_refused_by_readers(self, home, greenlight, again, first_run):
        manifest = Path(_bundle(home, first_run))
        manifest.write_bytes(manifest.read_bytes()[:-100])
        assert_one_sentence(greenlight("verify", "channels"), 4, "bundles/channels/", "restore it from a backup")
        done = again()
        if done.rc:
            assert_one_sentence(done, 4, "bundles/channels/", "restore it from a backup")
        else:
            assert greenlight("verify", "channels", "--json").value["entries"] == 1

    def test_a_bundle_signed_by_an_unknown_key_is_refused(self, home, greenlight, sources, tmp_path, first_run):
        manifest = Path(_bundle(home, first_run))
        said = json.loads(manifest.read_bytes())["manifest"]
        manifest.write_bytes(seal(Signer(Ed25519PrivateKey.generate()), bundles.FORM, {"manifest": said}))
        verified, done = greenlight.each(
            ("verify", "channels"),
            ("predict", "channels", "--source", sources["first"], "--out", tmp_path / "out.csv"),
        )
        assert_one_sentence(verified, 4, "signed by the key SHA256:", "none of the 1 trusted")
        assert_one_sentence(done, 4, "signed by the key SHA256:", "none of the 1 trusted", "keys/trusted")
        assert not (tmp_path / "out.csv").exists()

    def test_a_pointer_to_something_else_is_found_and_mended(self, home, greenlight):
        pointer = home / "store" / "champions" / "channels" / "dev.json"
        was = pointer.read_bytes()
        pointer.unlink()
        assert_one_sentence(greenlight("verify", "channels"), 4, "see nothing", "greenlight reconcile")
        mended, verified = greenlight.each(("reconcile", "channels"), ("verify", "channels"))
        assert (mended.rc, verified.rc) == (0, 0), (mended.err, verified.err)
        assert pointer.read_bytes() == was

    @pytest.mark.slow
    def test_what_mlflow_and_feast_lost_is_made_again_by_the_next_run(self, home, greenlight, again, first_run):
        shutil.rmtree(home / "mlflow")
        shutil.rmtree(home / "feast")
        done = again("--json")
        assert done.rc == 0, done.err
        assert done.value["promotion"]["version"] == first_run.done.value["promotion"]["version"]
        assert (home / "feast" / "registry.sqlite").is_file() and (home / "mlflow" / "mlflow.db").is_file()
        assert again("--json").value["status"] == "unchanged"
        assert greenlight("verify", "channels", "--json").value["entries"] == 1

    def test_a_truncated_ledger_stops_everything_that_would_promote(self, home, greenlight, again):
        entry = home / "store" / "ledger" / "channels" / "000001.json"
        entry.write_bytes(entry.read_bytes()[:-100])
        before = digests(home / "store")
        assert_one_sentence(greenlight("verify", "channels"), 4, "ledger", "restore")
        assert_one_sentence(again(), 4, "ledger/channels/000001.json", "restore")
        assert digests(home / "store") == before

    @pytest.mark.slow
    def test_garbled_memories_are_computed_anew(self, home, greenlight, again, first_run):
        for memory in (home / "store" / "stages").rglob("*.json"):
            memory.write_bytes(memory.read_bytes()[: len(memory.read_bytes()) // 2])
        for record in (home / "store" / "runs").rglob("*.json"):
            record.unlink()
        done = again("--json")
        assert done.rc == 0, done.err
        assert "computed anew" in done.err
        assert done.value["promotion"]["version"] == first_run.done.value["promotion"]["version"]
        assert greenlight("verify", "channels", "--json").value["entries"] == 1


def _bundle(home: Path, first_run) -> Path:
    return home / "store" / "bundles" / "channels" / f"{first_run.done.value['promotion']['version']}.json"


def _largest_model(home: Path, first_run) -> Path:
    models = [
        (blob["size"], blob["digest"])
        for evaluation in first_run.done.value["evaluations"]
        for name, blob in evaluation["files"].items()
        if name.startswith("models/")
    ]
    digest = max(models)[1]
    return home / "store" / "blobs" / "sha256" / digest[:2] / digest


class TestCtrlC:
    """Ctrl-C reaches the whole foreground group: the command ends cleanly and the next one goes on."""

    @pytest.mark.slow
    def test_a_run_stopped_while_training_is_gone_on_with(self, greenlight, sources, first_run):
        # A server of its own: it must be gone with the command.
        line = CommandLine(greenlight.checkout, greenlight.cwd, greenlight.home)
        child = line.started("run", "channels", "--source", sources["first"])
        try:
            said = _stop_after(child, "train ")
        finally:
            end(child)
        assert child.returncode == 130, said
        assert "Traceback" not in said
        assert said.splitlines()[-1].startswith("greenlight: stopped. Nothing is half done")
        assert [stage for text in said.splitlines() if (stage := stage_of(text))][-1].startswith("train ")
        assert at_work_for(greenlight.home) == []
        again = greenlight("run", "channels", "--source", sources["first"], "--json")
        assert again.rc == 0, again.err
        assert "(reused)" in again.err
        assert again.value["promotion"]["version"] == first_run.done.value["promotion"]["version"]


def _stop_after(child: subprocess.Popen[str], stage: str) -> str:
    said = []
    for line in child.stderr:
        said.append(line)
        if (stage_of(line) or "").startswith(stage):
            os.killpg(child.pid, signal.SIGINT)
            break
    out, rest = child.communicate(timeout=900)
    assert out == ""
    return "".join(said) + rest


def test_a_wrong_file_of_slots_is_refused_by_row_and_column_before_anything_starts(greenlight, tmp_path):
    slots, shows = tmp_path / "slots.csv", tmp_path / "programmes.csv"
    slots.write_text("weekday,start,minutes\nMon,20:00,60\nTue,20 Uhr,60\n")
    shows.write_text("programme,genre,minutes\nA,Drama,60\n")
    done = greenlight("timetable", "--slots", slots, "--programmes", shows)
    assert_one_sentence(done, 2, str(slots), "row 3, column start: found '20 Uhr'", "wanted a time as 20:15")


def test_a_batch_without_rows_is_refused_before_anything_starts(greenlight, sources, tmp_path):
    header = tmp_path / "header.csv"
    header.write_bytes(sources["first"].read_bytes().splitlines(keepends=True)[0])
    assert_one_sentence(greenlight("score", "channels", "--input", header), 2, "header and no rows")
    assert not (greenlight.home / "store").exists()
