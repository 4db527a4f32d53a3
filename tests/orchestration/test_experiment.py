"""An experiment as typed: two versions answer a batch, a person looks and concludes, and nothing is promoted by it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tasks.adapters import bundles, ledger
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer
from tasks.core.manifest import About
from tests.command_line import said_plainly

DAY = ("--ring", "dev", "--date", "2026-11-20")


def twin(home):
    """Let the champion's models out in dev once more, as another version; return the old version and the new one."""
    store, signer = DirectoryStore(home / "store"), service_signer(home / "keys")
    standing = ledger.champion(store, "channels", "dev", signer.trust())
    manifest = bundles.read_manifest(store, signer.trust(), "channels", standing.version)
    about = About(tuple(manifest.targets), lineage=dict(manifest.lineage), labels={"run": "twin"})
    made = bundles.publish(store, signer, "channels", dict(manifest.files), about)
    planted = {"version": made.version, "manifest_digest": made.manifest_digest, "run_key": "twin"}
    ledger.append(store, signer, replace(standing, **planted), standing.number)
    return standing.version, made.version


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_arms_are_answered_looked_at_and_concluded(first_run, greenlight, sources, tmp_path):
    first_run.copied_to(greenlight.home)
    old, new = twin(greenlight.home)

    def experiment(what, *asked):
        return greenlight("experiment", what, "channels", "--ring", "dev", *asked)

    begin = ("--effect", "1", "--sd", "1", "--reason", "is the old one better?")
    assert said_plainly(experiment("start", "--treatment", new, *begin), 2, "serves in dev already")
    begun = experiment("start", "--treatment", old, *begin, "--json")
    assert begun.rc == 0, begun.err
    assert (begun.value["control"], begun.value["treatment"], begun.value["planned"]) == (new, old, 200)
    assert said_plainly(experiment("start", "--treatment", old, *begin), 2, "conclude it first")

    done = greenlight("score", "channels", "--input", sources["second"], *DAY, "--json")
    assert done.rc == 0, done.err
    assert done.value["day"]["experiment"] == "1-channels-dev"
    assert greenlight("export", "channels", *DAY, "--format", "parquet", "--to", tmp_path / "day.parquet").rc == 0
    rows = pl.read_parquet(tmp_path / "day.parquet")
    assert dict(rows.select("arm", "model_version").unique().rows()) == {"control": new, "treatment": old}

    told = rows.select("channel", value=pl.col("arm").eq("treatment").cast(pl.Float64) * 2 + pl.int_range(pl.len()) % 2)
    told.write_csv(tmp_path / "outcomes.csv")
    outcomes = ("--outcomes", tmp_path / "outcomes.csv")
    looked = experiment("status", *outcomes, "--json").value["analysis"]
    assert looked["verdict"] == "treatment" and looked["lift"]["low"] > 0
    ended = experiment("conclude", *outcomes, "--reason", "the plan is met")
    assert ended.rc == 0 and "nothing was promoted" in ended.out
    assert said_plainly(
        experiment("conclude", *outcomes, "--reason", "the plan is met"), 2, "no experiment of channels"
    )
    assert "experiment " + old in greenlight("history", "channels").out
    again = greenlight("score", "channels", "--input", sources["second"], *DAY, "--json")
    assert again.value["day"]["experiment"] == "" and again.value["day"]["version"] == new
