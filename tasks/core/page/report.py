"""The page of a run: one HTML file that says in two minutes what was learnt, how good it is and what was decided.

Pure: values in, text out; same values, same text. Wording belongs here and layout to ``templates/``; how a mark is
drawn belongs to ``tasks.core.charts``. The page may not flatter: each number says which model it describes, and a model
that is not shown to beat the best naive guess says so first.
"""

from __future__ import annotations

from tasks.core import drawing
from tasks.core.page.data import broken_rules, intake_chart, suspect_rows
from tasks.core.page.groups import archetype_counts, archetype_map, archetype_rows, declared_order, influence_sections
from tasks.core.page.paper import cost_chart, template
from tasks.core.page.run_report import RunReport
from tasks.core.page.targets import coverage_chart, target_sections, unlearnt_targets
from tasks.core.page.verdicts import OUTCOME_WORDS, chips, worst_first

# Lineage arrives as a mapping; it is read in the order of the road.
ROAD = ("source", "snapshot", "accepted", "quarantined", "features", "training set", "bundle", "code", "policy")
GLOSSARY = (
    (
        "skill",
        "1 − mean absolute error ÷ that of the best naive guess. 0 is no better than guessing, 1 is perfect, "
        "below 0 is worse than guessing.",
    ),
    (
        "naive guess",
        "A constant or group mean learnt from the training rows: the mean, the median, the mean of the row's "
        "group or, where it has one, the row's value of the time before. A model that cannot beat it is not worth "
        "serving.",
    ),
    (
        "interval",
        "The range the true figure plausibly lies in, from resampling the holdout rows. If it touches zero "
        "skill, the data do not show that the model helps.",
    ),
    (
        "holdout",
        "Rows set aside by a hash of their name before anything was fitted. They chose nothing; they only judge.",
    ),
    (
        "cross-validation",
        "The training rows, cut into parts; each part is predicted by a model that did not see it. "
        "Chooses between candidates.",
    ),
    ("coverage", "Share of holdout rows whose actual value lies inside the model's own prediction interval."),
    ("slice", "Rows that are judged on their own: a category, a country, a size."),
    ("quarantine", "Rows that broke a rule of the contract. They are kept, with every reason, and not learnt from."),
    ("champion", "The model that serves. A challenger replaces it only by a promotion in the ledger."),
    ("adjusted Rand index", "Agreement of two clusterings: 1 is the same groups, 0 is what chance gives."),
    ("dominance", "The leader's amount over the runner-up's."),
    ("HHI", "Herfindahl–Hirschman index, the sum of squared shares: 1 means one holds everything."),
    ("Gini", "0 when all have the same, towards 1 when one has everything."),
    ("digest", "SHA-256 of the bytes: the same digest is the same content, and a changed byte changes it."),
)


def render(report: RunReport) -> str:
    """Return the page as one self-contained HTML document."""
    return template("report.html.j2").render(
        report=report,
        spec=report.spec,
        answer=answer(report),
        shapes=drawing.shape_definitions(),
        verdicts=worst_first(report.verdicts),
        outcome_words=OUTCOME_WORDS,
        chips=chips(report.verdicts),
        targets=tuple(target_sections(report)),
        unlearnt=tuple(unlearnt_targets(report)),
        coverage=coverage_chart(report.evaluations),
        intake=intake_chart(report.contracted),
        broken=broken_rules(report.contracted.results),
        kept=tuple(result for result in report.contracted.results if result.passed),
        suspects=tuple(suspect_rows(report)),
        archetypes=report.archetypes,
        archetype_map=archetype_map(report),
        archetype_rows=tuple(archetype_rows(report)),
        archetype_counts=tuple(archetype_counts(report)),
        influence=tuple(
            influence_sections(report, table) for table in sorted(report.influence, key=declared_order(report.spec))
        ),
        lineage=sorted(report.lineage, key=lambda pair: ROAD.index(pair[0]) if pair[0] in ROAD else len(ROAD)),
        costs=cost_chart(report.times),
        glossary=GLOSSARY,
    )


def answer(report: RunReport) -> str:
    """Say in one sentence what was decided."""
    served = ", ".join(report.serves)
    if report.outcome == "promoted":
        return f"Promoted: {report.version} now serves {served or 'its targets'} in {report.ring}."
    if report.outcome == "already champion":
        return f"Unchanged: {report.version} already serves {served or 'its targets'} in {report.ring}."
    stays = f"{report.champion_after} goes on serving" if report.champion_after else "nothing serves yet"
    return f"Not promoted: {stays} in {report.ring}."
