"""The model card: what a bundle is for, what it was learnt from, how good it is and where it is not. Markdown.

After Mitchell et al. 2019, "Model Cards for Model Reporting". It repeats the evidence in words and adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.core.evidence import Evidence
from tasks.core.failures import untrained
from tasks.core.values import Evaluation, Interval
from tasks.workloads.spec import Target, Workload


def write_card(spec: Workload, evidence: Evidence) -> str:
    """Return the card of the bundle that holds *evidence*."""
    return "\n".join([*_intended(spec), *_data(evidence), *_models(spec, evidence), *_limits(spec, evidence)]) + "\n"


def _intended(spec: Workload) -> Iterator[str]:
    yield f"# {spec.title}: model card"
    yield ""
    yield "## Intended use"
    yield ""
    yield (
        f"Predicts, for one {spec.entity}: " + "; ".join(f"{each.meaning} ({each.unit})" for each in spec.targets) + "."
    )
    if spec.always_known:
        yield f"Scoreable from {', '.join(spec.always_known)} alone; every other input may be missing."
    yield ""


def _data(evidence: Evidence) -> Iterator[str]:
    contracted, snapshot = evidence.contracted, evidence.snapshot
    yield "## Data"
    yield ""
    yield (
        f"{contracted.rows_in} rows in: {contracted.rows_accepted} accepted, "
        f"{contracted.rows_quarantined} quarantined. "
        f"Source sha256 `{snapshot.source_digest}`, snapshot `{snapshot.digest}`."
    )
    for finding in snapshot.findings:
        yield f"- {finding.message}"
    yield ""


def _models(spec: Workload, evidence: Evidence) -> Iterator[str]:
    yield "## Models"
    for each in evidence.evaluations:
        yield ""
        yield f"### {each.target}: {each.algorithm}"
        yield ""
        yield from _numbers(each, spec.target(each.target), evidence.measured_for.confidence)
    yield ""


def _numbers(each: Evaluation, target: Target, confidence: float) -> Iterator[str]:
    yield _of_whom(each)
    yield ""
    yield f"| | value | {confidence:.0%} interval |"
    yield "|---|---|---|"
    error = "Brier score" if target.is_chance else "MAE"
    yield _line(error if target.is_chance else f"MAE ({target.unit})", each.mae, ",.4g")
    if each.rmse_interval and each.spearman_interval:
        yield _line(f"RMSE ({target.unit})", each.rmse_interval, ",.4g")
        yield _line("rank correlation", each.spearman_interval, ".3f")
    yield _line("R² of the whole, change or not" if target.as_change else "R²", each.r2, ".3f")
    if each.mase is not None:
        yield f"| MASE: error as a share of the last value's | {each.mase:.3f} | |"
    yield _line("skill", each.skill, "+.3f")
    if each.recalibration and each.recalibration.odds and each.recalibration.slope:
        yield _line("odds that came over odds that were said", each.recalibration.odds, ".2f")
        yield _line("slope of what came over what was said", each.recalibration.slope, ".2f")
    yield _line(f"coverage of {each.coverage_wanted:.0%} prediction intervals", each.coverage, ".1%")
    yield ""
    if each.aspects:
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in each.aspects.items())
        yield f"Each aspect is scored by itself; the scores count: {weights}."
        yield ""
    yield f"Skill is 1 − {error} / {error} of the best naive baseline, here the {each.baseline}."
    for told in each.told:
        yield ""
        yield f"{told.title}:"
        yield ""
        yield _cells(told.head)
        yield _cells(("---",) * len(told.head))
        yield from map(_cells, told.lines)


def _of_whom(each: Evaluation) -> str:
    """Say which fit the numbers describe, and of which rows they are."""
    whose = (
        "The numbers describe the model in this bundle."
        if each.describes == "shipped"
        else "The model in this bundle was fitted again on all rows; the numbers describe the one before."
    )
    late = f", {each.rows_late} left out whose label was not known by then" if each.rows_late else ""
    drawn = f"; intervals are drawn from {each.units} units of the latter" if each.units else ""
    held = f"{each.rows_trained} rows trained, {each.rows_holdout} held out and never looked at before"
    return f"{whose} {held}{late}{drawn}."


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _line(name: str, interval: Interval, form: str) -> str:
    return f"| {name} | {interval.value:{form}} | {interval.low:{form}} to {interval.high:{form}} |"


def _limits(spec: Workload, evidence: Evidence) -> Iterator[str]:
    yield "## Limits"
    yield ""
    for target, why in untrained(evidence.scorecards).items():
        yield f"- {target}: not trained, not served. {why}"
    for each in evidence.evaluations:
        if each.skill.low <= 0:
            yield f"- {each.target}: not shown to be better than the naive baseline ({each.baseline}): not served."
        worst = min(each.slices, key=lambda part: part.skill.value, default=None)
        if worst is not None and worst.skill.value < 0:
            yield f"- {each.target}: worse than the baseline where {worst.slice} is {worst.label} ({worst.rows} rows)."
        blind = spec.target(each.target).blind_to
        if blind:
            yield f"- {each.target}: never sees {', '.join(blind)}, which contain it."
    yield "- A model says nothing of kinds of rows it has not seen; the reference profile says which those are."
