"""Enrich: let an analyser answer to every text of a source's column, and write the answers beside the source's keys.

A kill loses at most the row being asked: the same command goes on behind it. No row is left out: what nobody could
answer to has the status ``error`` and its reason. Who answers, and how patiently, is ask_providers.py's.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from pathlib import Path

import polars as pl

from tasks.adapters import home
from tasks.adapters.enrichment.work import Work, finish, work_on
from tasks.adapters.export_files import is_there, refuse_existing, refuse_source
from tasks.adapters.parquet import Rows, replacing
from tasks.adapters.settings import settings
from tasks.adapters.sources import digest_source
from tasks.core.digests import digest_of
from tasks.core.enrichment.budget import amount
from tasks.core.enrichment.rows import Analysed, Analyser, Enriched, LocalAnalyser
from tasks.core.reading import ROW
from tasks.errors import BadRequest, ColumnsMissing, HomeDamaged, SourceUnusable
from tasks.workloads.spec import Column

Tell = Callable[[int], None]

OUTCOME: Mapping[str, pl.DataType] = {"analyser": pl.String(), "status": pl.String(), "reason": pl.String()}
MOST_REASONS = 10
MOST_ALIKE = 5
NO_TEXT = Analysed("", reason="the text is missing")


@dataclass(frozen=True)
class Asked:
    """What is to be enriched, and the file it becomes."""

    source: Path
    column: str
    keys: tuple[str, ...]
    out: Path
    force: bool = False
    name: str = "enrich"
    # Nothing here happens in time.
    event_time: str = ""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return what is read of the source."""
        keys = (Column(key, "text", "a key of the row", required=True) for key in self.keys)
        return (*keys, Column(self.column, "text", "the text to enrich", required=True))


@contextmanager
def analysing(name: str, budget: Decimal | None = None) -> Iterator[Analyser]:
    """Yield the analyser called ``local`` or ``providers``; *budget*, else the settings', is the most it spends."""
    if name == "local":
        yield LocalAnalyser()
        return
    # Whoever stays on this machine pays for no client.
    from tasks.ask_providers import configured

    limits = settings().enrich if budget is None else settings().enrich.model_copy(update={"budget": budget})
    with configured(limits, home.root() / "enrichment", settings().redis.connection.get_secret_value()) as chain:
        yield chain


def enrich(asked: Asked, analyser: Analyser, tell: Tell) -> Enriched:
    """Let *analyser* answer to every row, then write the file whole; *tell* hears how many rows are done meanwhile.

    Raises BadRequest, SourceUnusable, RunInProgress, and what the analyser raises: no file is written then, and what
    was answered is kept.
    """
    refuse(asked, analyser)
    of = (digest_source(asked.source), asked.column, asked.keys, analyser.identity)
    with _named(asked), work_on(home.root(), digest_of(of)[:32], asked, asked.source) as work:
        resumed = _answer(work, analyser, asked.column, tell)
        counted, reasons = _write(work, analyser, asked)
        requests, tokens, cost = work.spent()
        finish(work)
    return Enriched(
        path=str(asked.out),
        column=asked.column,
        rows=counted["rows"],
        ok=counted["rows"] - counted["failed"],
        failed=counted["failed"],
        cached=counted["cached"],
        resumed=resumed,
        asked=requests,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cost=amount(cost),
        reasons=tuple(reasons.most_common(MOST_REASONS)),
    )


def refuse(asked: Asked, analyser: Analyser) -> None:
    """Raise BadRequest where the file is there, is the source or cannot be, or a column would be there twice."""
    refuse_existing(asked.out, force=asked.force, option="--out")
    if asked.out.suffix not in (".parquet", ".pq"):
        raise BadRequest(
            f"{asked.out} is no Parquet file by its name; answers are typed, so name one ending in .parquet"
        )
    refuse_source(asked.out, asked.source)
    names = Counter([*asked.keys, asked.column, ROW, *analyser.columns, *OUTCOME])
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise BadRequest(
            f"{', '.join(twice)} would be there twice: keys, the text's column and the answers ({', '.join(names)}) "
            "must differ; rename the column in the source, or name another --key"
        )
    _refuse_unwritable(asked.out)


@contextmanager
def _named(asked: Asked) -> Iterator[None]:
    """Tell of columns that are not there by the options that named them, beside those that are most alike."""
    try:
        yield
    except ColumnsMissing as error:
        wrong = error.missing[0]
        option = "--column" if wrong == asked.column else "--key"
        alike = sorted(
            error.headers, key=lambda each: -SequenceMatcher(None, wrong.casefold(), each.casefold()).ratio()
        )
        there = ", ".join(map(repr, alike[:MOST_ALIKE])) + (", …" if len(alike) > MOST_ALIKE else "")
        raise SourceUnusable(
            f"{error.where} has no column called {wrong!r}; of its {len(alike)} columns the most alike are {there}: "
            f"name one of them with {option}"
        ) from error


def _refuse_unwritable(out: Path) -> None:
    # Found out at the end, it would be after everything was paid for.
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise BadRequest(f"{out} cannot be written: {error.strerror or error}; name another file with --out") from error


def _answer(work: Work, analyser: Analyser, column: str, tell: Tell) -> int:
    """Let every row be answered that is not; returns how many were before."""
    work.forget_unsettled()
    resumed = 0
    for batch in work.batches():
        done = work.done(batch[ROW][0], batch[ROW][-1])
        resumed += len(done)
        tell(len(done))
        held: list[tuple[int, Analysed]] = []
        for row, text in batch.select(ROW, column).iter_rows():
            if row in done:
                continue
            held.append((row, NO_TEXT if text is None else analyser.analyse(text, work)))
            if len(held) >= analyser.rows_at_risk:
                work.keep(held)
                tell(len(held))
                held = []
        work.keep(held)
        tell(len(held))
    return resumed


def _write(work: Work, analyser: Analyser, asked: Asked) -> tuple[Counter[str], Counter[str]]:
    """Write the file; returns how many rows are what, and which reasons they have."""
    keys = [pl.Field(key, pl.String()) for key in asked.keys]
    answers = {**analyser.columns, **OUTCOME}
    schema = pl.Schema({**{key.name: key.dtype for key in keys}, ROW: pl.Int64, **answers})
    counted, reasons = Counter[str](), Counter[str]()
    try:
        with replacing(asked.out, new=not asked.force) as part, Rows(part, schema) as rows:
            for batch in work.batches():
                done = list(work.done(batch[ROW][0], batch[ROW][-1]).values())
                if len(done) != batch.height:
                    raise HomeDamaged(f"{work.folder} lacks rows; delete it and run again")
                told = [{**each.values, **_outcome(each)} for each in done]
                said = pl.DataFrame(told, schema=answers)
                rows.add(batch.select(*asked.keys, ROW).hstack(said))
                counted.update(rows=batch.height, cached=sum(each.cached for each in done))
                reasons.update(each.reason for each in done if each.reason)
    except FileExistsError as error:
        raise is_there(asked.out, "--out") from error
    return counted + Counter(failed=reasons.total()), reasons


def _outcome(each: Analysed) -> dict[str, str | None]:
    return {"analyser": each.by or None, "status": each.status, "reason": each.reason or None}
