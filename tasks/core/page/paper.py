"""What every page is printed on: the templates with our spelling of figures, and the chart of what a run cost."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Row
from tasks.core.drawing import percent, short
from tasks.core.page.wording import as_clock, as_moments, as_range, as_seen, as_sentence, as_words
from tasks.core.run import StageTime


@dataclass(frozen=True)
class Table:
    """A table of words."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def template(name: str) -> Template:
    """Return one of our templates; what is put into it is escaped, and a forgotten word is an error."""
    return _templates().get_template(name)


def script(name: str) -> Markup:
    """Return one of our scripts, to be written into a page as it is."""
    return Markup(files("tasks.core").joinpath("templates", name).read_text("utf-8"))


def hashed(text: str) -> str:
    """Return the source expression by which a content security policy lets exactly this script run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def cost_facts(times: Sequence[StageTime]) -> tuple[tuple[str, str], ...]:
    """Return what all stages cost together; nothing if none was timed."""
    if not times:
        return ()
    cpu, wall = (sum(getattr(each, name) for each in times) for name in ("cpu_seconds", "wall_seconds"))
    peak, reused = max(each.peak_mib for each in times), sum(each.reused for each in times)
    return (
        ("CPU", as_clock(cpu)),
        ("wall clock, stages added up", as_clock(wall)),
        ("peak memory", f"{peak:,.0f} MiB" if peak else "not looked at"),
        ("stages", f"{len(times)}, {reused} of them reused" if reused else str(len(times))),
    )


def cost_chart(times: Sequence[StageTime]) -> Markup:
    """Draw what each stage cost; empty if none was timed."""
    if not times:
        return Markup("")
    rows = [
        Row(
            as_words(time.stage) + (" (reused)" if time.reused else ""),
            time.wall_seconds,
            f"{as_clock(time.wall_seconds)}, {as_clock(time.cpu_seconds)} CPU"
            + (f", {time.peak_mib:,.0f} MiB" if time.peak_mib else ""),
            mark="bar",
            tone="tone-muted" if time.reused else "tone-soft",
        )
        for time in times
    ]
    axis = drawing.linear_axis([row.value for row in rows], include=(0.0,))
    total = sum(time.wall_seconds for time in times)
    description = f"{as_clock(total)} added up; candidates run side by side. Wall-clock and CPU seconds by stage" + (
        ", and the most memory its process had held by its end." if any(time.peak_mib for time in times) else "."
    )
    return charts.row_chart(rows, axis, title="Cost by stage", description=description, zero=0.0)


@cache
def _templates() -> Environment:
    pages = Environment(
        loader=PackageLoader("tasks.core", "templates"),
        autoescape=True,
        finalize=as_seen,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(
        sentence=as_sentence,
        range=as_range,
        short=short,
        percent=percent,
        words=as_words,
        clock=as_clock,
        moments=as_moments,
    )
    return pages
