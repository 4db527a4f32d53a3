"""What a person sees in the terminal: progress by stage, the table at the end, and errors as one sentence."""

from __future__ import annotations

import json as json_module
import logging
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks import workloads
from tasks.core.digests import plain
from tasks.core.run import RunSummary, StageTime
from tasks.core.values import Evaluation, Interval, Verdict

# From here on an error is told in whole numbers, below in three figures.
LARGE = 100
MARKS = {"pass": ("✓", "green"), "fail": ("✗", "red"), "inconclusive": ("?", "yellow")}


def console(*, stderr: bool = False) -> Console:
    """Return where to print: whole lines where the output is redirected."""
    stream = sys.stderr if stderr else sys.stdout
    # Redirected output keeps whole lines: a path broken over two lines cannot be copied.
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else 160)


class Progress(logging.Handler):
    """Prints one line per stage as it ends, with its counts and times."""

    def __init__(self) -> None:
        super().__init__()
        self._console = console(stderr=True)
        logger = logging.getLogger("tasks")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        # Prefect's console would print every stage a second time.
        logger.propagate = False
        logging.getLogger("great_expectations").setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the stage a record tells of; warnings are printed as they are, all else is left to Prefect's log."""
        took: StageTime | None = getattr(record, "stage", None)
        if took is not None:
            reused = "  (reused)" if took.reused else ""
            mark = "✗" if took.note.startswith("failed") else "✓"
            cost = f"{took.wall_seconds:6.1f} s  {took.cpu_seconds:6.1f} CPU s"
            line = f"{mark} {took.stage:<34} {cost}  {took.note}{reused}"
            self._console.print(Text(line), soft_wrap=True)
        elif record.levelno >= logging.WARNING:
            self._console.print(Text(f"! {record.getMessage()}", style="yellow"), soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Print *sentence* as it is."""
        self._console.print(Text(sentence), soft_wrap=True)


def show(value: Any, sentence: str, *, json: bool) -> None:
    """Print a result: the sentence for people, or the value as JSON for machines."""
    print(json_module.dumps(plain(value), ensure_ascii=False, indent=2) if json else sentence)


def complain(message: str, *, kind: str, exit_code: int, json: bool) -> None:
    """Print an error: on standard error for people, as JSON on standard output for machines."""
    if json:
        print(json_module.dumps({"error": kind, "message": message, "exit_code": exit_code}, ensure_ascii=False))
    else:
        console(stderr=True).print(Text(f"greenlight: {message}", style="red"), soft_wrap=True)


def show_run(summary: RunSummary, *, unchanged: bool, json: bool) -> None:
    """Print what came of a run: rows, scorecards, verdicts, what was promoted or why not, and where things are."""
    if json:
        show({"status": "unchanged" if unchanged else summary.promotion.status, **plain(summary)}, "", json=True)
        return
    out = console()
    _rows(out, summary)
    out.print(_scorecards(summary))
    for target, why in summary.untrained.items():
        out.print(Text(f"{target} is not trained: {why}"), soft_wrap=True)
    out.print(_verdicts(summary.promotion.verdicts))
    _ending(out, summary, unchanged=unchanged)


def _rows(console: Console, summary: RunSummary) -> None:
    console.print()
    console.print(
        f"rows in {summary.rows_in:,} = accepted {summary.rows_accepted:,} + quarantined {summary.rows_quarantined:,}"
    )
    for rule, rows in summary.quarantine_reasons:
        console.print(f"  {rows:>6,}  {rule}")
    for finding in summary.findings:
        console.print(f"  note: {finding.message}", soft_wrap=True)
    console.print()


def _scorecards(summary: RunSummary) -> Table:
    table = Table(
        "target",
        "winner",
        "MAE (of a chance: Brier score)" if _chances(summary) else "MAE",
        "R²",
        "skill over the best naive baseline",
        "baseline",
        title="Holdout",
        title_justify="left",
    )
    for evaluation in summary.evaluations:
        table.add_row(*_cells(evaluation))
    for target in summary.untrained:
        table.add_row(target, "not trained")
    return table


def _chances(summary: RunSummary) -> bool:
    spec = workloads.get(summary.run.workload)
    return any(spec.target(evaluation.target).is_chance for evaluation in summary.evaluations)


def _cells(evaluation: Evaluation) -> tuple[str, ...]:
    return (
        evaluation.target,
        evaluation.algorithm,
        _interval(evaluation.mae, ",.0f" if evaluation.mae.value >= LARGE else ",.3g"),
        _interval(evaluation.r2, ".2f"),
        _interval(evaluation.skill, "+.2f"),
        evaluation.baseline,
    )


def _interval(interval: Interval, form: str) -> str:
    return f"{interval.value:{form}}  [{interval.low:{form}}, {interval.high:{form}}]"


def _verdicts(verdicts: tuple[Verdict, ...]) -> Table:
    table = Table("", "gate", "target", "found", "wanted", title="Gates", title_justify="left")
    for verdict in verdicts:
        mark, colour = MARKS[verdict.outcome]
        table.add_row(
            Text(f"{mark} {verdict.outcome}", style=colour), verdict.gate, verdict.target, verdict.found, verdict.wanted
        )
    return table


def _ending(console: Console, summary: RunSummary, *, unchanged: bool) -> None:
    promotion = summary.promotion
    seconds = sum(took.cpu_seconds for took in summary.times)
    console.print()
    if unchanged:
        console.print("[bold]unchanged[/bold]: the same rows, code and policy were run before; nothing was done. Then:")
    console.print(Text(f"{promotion.status}: {promotion.because}", style="bold"), soft_wrap=True)
    console.print(f"  quarantine  {summary.quarantine}", soft_wrap=True)
    console.print(f"  bundle      {summary.bundle}", soft_wrap=True)
    console.print(f"  page        {promotion.page}", soft_wrap=True)
    console.print(f"  time        {seconds:.0f} CPU seconds in stages")
