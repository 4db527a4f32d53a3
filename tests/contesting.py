"""A store with real bundles of the shops: a champion, and who comes against it."""

from __future__ import annotations

from pathlib import Path

from tasks.adapters import contents, contests, frames
from tasks.adapters.blobs import put_blob
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer
from tasks.core import evaluation
from tasks.core.evidence import Evidence, Portrait
from tasks.core.profile import build_profile
from tasks.core.training import score_candidate
from tasks.core.values import Contracted, Entry, Snapshot, TrainingSet
from tasks.workloads.spec import Gate
from tests.builders import quick, shops_spec

SPEC = shops_spec()
ELASTIC = quick("elastic_net")


class Home:
    """A store and its keys, and what is published in it."""

    def __init__(self, folder: Path) -> None:
        self.store, self.keys = DirectoryStore(folder / "store"), folder / "keys"
        service_signer(self.keys)
        self.folder = folder

    def learnt(self, rows, spec=SPEC, *, refit=False, candidate=ELASTIC) -> Evidence:
        """Return the evidence of a model of *rows*."""
        target = spec.targets[0]
        winner = score_candidate(spec, rows, target, candidate).scorecard
        done = evaluation.evaluate(spec, rows, target, winner, refit_on_all=refit)
        files = {f"{done.judged.model}/{name}": put_blob(self.store, data) for name, data in done.files.items()}
        kept = frames.keep(self.store, rows, self.folder, "rows")
        predictions = frames.keep(self.store, done.predictions, self.folder, "predictions")
        return Evidence(
            workload="shops",
            run_key="run",
            policy="p",
            code="c",
            snapshot=Snapshot("shops", kept, rows.height, "s", {}),
            contracted=Contracted("s", kept, kept, rows.height, rows.height, 0, ()),
            training_set=TrainingSet("shops", kept, rows.height, "s", "d", rows.height),
            leaks=(),
            scorecards=(winner,),
            evaluations=(done.judged.stored(predictions, files),),
            portrait=Portrait(None, None, {}, put_blob(self.store, build_profile(rows, spec, {}))),
            measured_for=spec.gate,
        )

    def champion(self, rows, spec=SPEC, *, refit=False, candidate=ELASTIC) -> Entry:
        """Publish a model of *rows* and return the entry that lets it out."""
        evidence = self.learnt(rows, spec, refit=refit, candidate=candidate)
        made = contents.publish(self.store, self.keys, spec, evidence)
        return Entry(
            "shops", 1, "promotion", "dev", made.version, made.manifest_digest, ("sales",), "e", "p", "x", "r", "t", ""
        )

    def compared(self, challenger: Evidence, champion: Entry, spec=SPEC):
        """Return the one comparison of a challenger with the champion."""
        (found,) = contests.held_against(self.store, self.keys, spec, Gate(), challenger, champion)
        return found
