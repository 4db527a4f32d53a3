"""What contradicts itself in a declaration, a sentence each; looked for when a workload is made, so at import.

What a workload is belongs to spec.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.workloads.likeness import likeness_problems
from tasks.workloads.spans import span_problems

if TYPE_CHECKING:
    from tasks.workloads.spec import Workload

# Exactly the names of the table in tasks/core/estimators.py, which lies above.
ALGORITHMS = (
    "elastic_net",
    "random_forest",
    "hist_gradient_boosting",
    "xgboost",
    "catboost",
    "mlp",
    "lstm",
    "transformer",
    "tfidf",
    "aspects",
)


def problems(spec: Workload) -> Iterator[str]:
    """Yield a sentence for each contradiction in *spec*."""
    for look in (
        _own_problems,
        _holdout_problems,
        _repeated_names,
        _candidate_problems,
        _target_problems,
        _bound_problems,
        _series_problems,
        _slice_problems,
        _archetype_problems,
        _influence_problems,
        _lever_problems,
        _likeness_problems,
    ):
        yield from look(spec)


def _own_problems(spec: Workload) -> Iterator[str]:
    columns, features = _columns(spec), set(spec.feature_names)
    strangers = sorted(set(spec.always_known) - features)
    yield from _failed(
        (
            spec.name.isidentifier() and spec.name == spec.name.lower(),
            "the name must be a lower-case identifier, because it names files, views and suites",
        ),
        (spec.entity in columns, f"the entity {spec.entity!r} is not a declared column"),
        (spec.event_time in columns, f"the event time {spec.event_time!r} is not a declared column"),
        (
            not spec.newest_year or spec.newest_year in columns,
            f"newest_year names {spec.newest_year!r}, which is not a declared column",
        ),
        (spec.targets, "it has no target, so there is nothing to learn"),
        (spec.candidates, "it has no candidate, so nothing can learn it"),
        (
            not spec.group or spec.group in columns | features,
            f"the group {spec.group!r} is neither a column nor a feature",
        ),
        (not strangers, f"always_known names {', '.join(strangers)}, which are no features"),
    )
    for column in spec.columns:
        if column.clock and (column.type != "datetime" or column.clock not in columns):
            yield f"column {column.name!r} has the clock {column.clock!r}: it takes a datetime and a declared column"


def _holdout_problems(spec: Workload) -> Iterator[str]:
    held, columns, by_time = spec.holdout, _columns(spec), spec.holdout.by == "time"
    yield from _failed(
        (
            0 < held.share < 0.5 and held.folds >= 2 and held.repeats >= 1,
            "the holdout needs a share in (0, 0.5), at least 2 folds and 1 repeat",
        ),
        (held.block_hours >= 0, f"a block of {held.block_hours} hours is none; 0 means no blocks"),
        (held.by in ("entity", "time"), f"a holdout is by entity or by time, not by {held.by!r}"),
        (
            not by_time or (held.block_hours > 0 and held.repeats == 1),
            f"a holdout by time takes block_hours above 0 and 1 repeat, not {held.block_hours} and {held.repeats}",
        ),
        (
            spec.witness in columns and not (held.within and by_time),
            f"a holdout within {held.within!r} takes a declared column, and is by entity",
        ),
        (
            not held.known_at or (held.known_at in columns and by_time),
            f"a holdout with known_at {held.known_at!r} takes a declared column, and is by time",
        ),
        (
            held.settled_days >= 0 and bool(held.known_at or not held.settled_days),
            f"settled_days of {held.settled_days} are below zero, or there is no known_at",
        ),
        (
            held.goes_by is None or held.within,
            "the holdout says what its groups go by and names no column they are within",
        ),
    )


def _failed(*checks: tuple[object, str]) -> Iterator[str]:
    yield from (sentence for holds, sentence in checks if not holds)


def _repeated_names(spec: Workload) -> Iterator[str]:
    for what, named in (
        ("columns", spec.columns),
        ("features", spec.features),
        ("targets", spec.targets),
        ("slices", spec.slices),
        ("levers", spec.levers),
    ):
        names = [each.name for each in named]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            yield f"{what} are declared twice: {', '.join(repeated)}"


def _candidate_problems(spec: Workload) -> Iterator[str]:
    for name in dict.fromkeys(candidate.algorithm for candidate in spec.candidates):
        if name not in ALGORITHMS:
            yield f"no algorithm is called {name!r}; there are {', '.join(ALGORITHMS)}"
    for candidate in spec.candidates:
        for problem in span_problems(candidate.search, candidate.params):
            yield f"{candidate.algorithm} is searched for {problem}"
        if candidate.algorithm == "aspects" and not any(feature.aspect for feature in spec.features):
            yield "aspects are to be scored and no feature is of any"


def _bound_problems(spec: Workload) -> Iterator[str]:
    declared = {candidate.algorithm for candidate in spec.candidates}
    for target in spec.targets:
        if target.by and target.by not in declared:
            yield f"target {target.name!r} is to be answered by {target.by!r}, which is no candidate"
        if target.limits and not target.limits[0] < target.limits[1]:
            yield f"target {target.name!r} has the limits {target.limits}; wanted: the least below the most"


def _target_problems(spec: Workload) -> Iterator[str]:
    columns, features = _columns(spec), set(spec.feature_names)
    for target in spec.targets:
        if target.column not in columns:
            yield f"target {target.name!r} reads column {target.column!r}, which is not declared"
        if target.column in features and target.column not in target.blind_to:
            yield f"target {target.name!r} would see its own column as a feature; add it to blind_to"
        strangers = sorted(set(target.blind_to) - features)
        if strangers:
            yield f"target {target.name!r} is blind to {', '.join(strangers)}, which are no features"
        if not features - set(target.blind_to):
            yield f"target {target.name!r} may see no feature at all"
        for guess, what in ((target.previous, "previous value"), (target.trend, "trend")):
            if guess and guess not in features - set(target.blind_to):
                yield f"target {target.name!r} takes {guess!r} for its {what}, no feature it may see"
        if target.as_change and not target.previous:
            yield f"target {target.name!r} is learned as a change and names no previous value to change from"
        unseen = sorted({name for name, *_ in target.rule} - (features - set(target.blind_to)))
        if unseen or any(side not in ("high", "low") for _, side, _ in target.rule):
            yield f"target {target.name!r} has a rule on {', '.join(unseen) or 'a side'} that is no feature it may see"


def _series_problems(spec: Workload) -> Iterator[str]:
    for feature in spec.features:
        if (feature.type == "series") != (feature.width > 0):
            yield f"feature {feature.name!r} is a {feature.type} of width {feature.width}; a series alone has a width"
        if feature.aspect and feature.type not in ("float", "category"):
            yield f"feature {feature.name!r} is a {feature.type}, and aspects are scored on numbers and categories"


def _slice_problems(spec: Workload) -> Iterator[str]:
    for part in spec.slices:
        if part.column not in _known(spec):
            yield f"slice {part.name!r} reads {part.column!r}, which is neither a column nor a feature"
        if part.edges and len(part.labels) != len(part.edges) + 1:
            yield f"slice {part.name!r} has {len(part.edges)} edges and needs {len(part.edges) + 1} labels"


def _archetype_problems(spec: Workload) -> Iterator[str]:
    if spec.archetypes is None:
        return
    looked_at, known = set(spec.archetypes.features), _known(spec)
    strangers = sorted(looked_at - known)
    if strangers:
        yield f"archetypes look at {', '.join(strangers)}, which are neither columns nor features"
    unlooked = sorted(set(spec.archetypes.log) - looked_at)
    if unlooked:
        yield f"archetypes take the log of {', '.join(unlooked)}, which they do not look at"
    for name, rules in spec.archetypes.rules.items():
        for subject, side, quantile in rules:
            column, is_share, _ = subject.partition("=")
            if column not in (known if is_share else looked_at):
                wanted = "neither a column nor a feature" if is_share else "not among the archetypes' features"
                yield f"the archetype {name!r} has a rule on {column!r}, which is {wanted}"
            if side not in ("high", "low") or not 0 <= quantile <= 1:
                yield f"the archetype {name!r} asks for {side!r} {quantile:g}; wanted: high or low, and 0 to 1"


def _influence_problems(spec: Workload) -> Iterator[str]:
    if spec.influence is None:
        return
    by, columns = spec.influence.by, _columns(spec)
    strangers = sorted({*by, *spec.influence.amounts, *spec.influence.codes.values()} - columns)
    if strangers:
        yield f"influence reads {', '.join(strangers)}, which are not declared columns"
    uncoded = sorted(set(spec.influence.codes) - set(by))
    if uncoded:
        yield f"influence has codes for {', '.join(uncoded)}, by which it has no table"


def _lever_problems(spec: Workload) -> Iterator[str]:
    columns, kinds = _columns(spec), {feature.name: feature.type for feature in spec.features}
    for lever in spec.levers:
        strangers = sorted({*lever.brings, *([] if lever.sets else [lever.column])} - columns)
        if strangers:
            yield f"the lever {lever.name!r} turns {', '.join(strangers)}, which are not declared columns"
        if lever.feature not in kinds:
            yield f"the lever {lever.name!r} is seen as {lever.feature!r}, which is no feature"
        kind, low, high = kinds.get(lever.feature), lever.low, lever.high
        if kind == "category" and ((low, high) != (None, None) or lever.sets):
            yield f"the lever {lever.name!r} is a category: it takes a column and no bounds"
        if kind == "float" and (low is None or high is None or low >= high or lever.brings):
            yield f"the lever {lever.name!r} is a number: it takes bounds, low below high, and brings nothing"


def _likeness_problems(spec: Workload) -> Iterator[str]:
    if spec.likeness:
        numbers = {feature.name for feature in spec.features if feature.type == "float"}
        yield from likeness_problems(spec.likeness, _columns(spec), numbers)


def _known(spec: Workload) -> set[str]:
    return _columns(spec) | set(spec.feature_names)


def _columns(spec: Workload) -> set[str]:
    return {column.name for column in spec.columns}
