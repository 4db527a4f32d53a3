"""Days of shops scored by a real champion, and what came true of them, for tests of what is made of scored days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tasks.adapters import actuals, appraisals, frames, partitions, predictions, scoring, serving
from tasks.adapters.predictions import SCORED, Day
from tasks.adapters.scoring import Scorer
from tasks.adapters.signing import service_signer
from tasks.adapters.worth import teacher
from tasks.core.partitions import partition_key
from tasks.core.scoring import Scored, Skew
from tests.builders import shops
from tests.contesting import SPEC, Home

SEEN = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "0123456789abcdef"
ROWS = shops(300, seed=3)
TRUTH = ROWS.select("shop", "sales")


class Scoring(Home):
    """A home in whose ring dev days are scored by a champion."""

    def __init__(self, folder):
        super().__init__(folder)
        self.signer = service_signer(self.keys)
        self.entry = self.champion(shops(900))
        self.bundle = serving.opened(self.store, self.keys, self.entry)

    def anew(self):
        """Return it with one scored day of 300 shops, of which nothing is known."""
        kinds = (*predictions.ANYWHERE, appraisals.KIND)
        for each in [key for kind in kinds for key in self.store.list(f"{kind}/shops/")]:
            self.store.delete(each)
        self.score("2026-11-20", ROWS)
        return self

    def score(self, date, rows, run=RUN):
        """Publish *rows* as they are answered on that day."""
        kept = frames.keep(self.store, rows.drop("sales"), self.folder, "scored")
        table = self.answered(kept, rows.height, self.bundle, run)
        about = Scored(
            "shops", "dev", date, run, self.entry.version, self.entry.manifest_digest, 1, kept.digest, ("sales",),
            rows.height, rows.height, 0, (), Skew(0, 0, ()), (),
        )  # fmt: skip
        self.day = Day(about, {SCORED: table})
        stood = partitions.standing(self.store, predictions.KIND, "shops", date, "dev")
        predictions.publish(self.store, self.signer, self.day, source=self.store, replaces=stood)
        return self.day

    def answered(self, kept, rows, bundle, run):
        """Return the answers to the rows kept in a blob."""
        scorer = Scorer(SPEC, bundle, ("sales",), run)
        return scoring.score(self.store, self.signer, scorer, kept, rows, self.folder).table

    def arrive(self, rows, name="actuals", observed_at=SEEN):
        """Return *rows* as a batch of actuals."""
        path = self.folder / f"{name}.csv"
        rows.write_csv(path)
        return actuals.read(self.store, SPEC, path, self.folder, observed_at)

    def appraise(self, arrived=None, day=None, gate=SPEC.gate):
        """Hold what *arrived* against a day."""
        of = teacher(self.store, self.keys, SPEC, self.entry.version)
        spec = replace(SPEC, gate=gate)
        return appraisals.appraise(self.store, self.signer, self.keys, spec, of, day or self.day, arrived, self.folder)

    @property
    def record(self):
        """The bytes of the day's appraisal."""
        return (self.folder / "store" / partition_key(appraisals.KIND, "shops", "2026-11-20", "dev")).read_bytes()


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A champion whose days a test begins ``anew``."""
    return Scoring(tmp_path_factory.mktemp("appraised"))
