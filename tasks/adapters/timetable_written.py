"""Writes a timetable for people and tools: Parquet, CSV, Excel where xlsxwriter is there, JSON, and the page.

What the tables are is the report's; each file appears whole or not at all. Publishing does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from tasks.adapters.export_files import harmless, write_sheets
from tasks.adapters.parquet import replacing, write_parquet
from tasks.core.digests import canonical_json
from tasks.core.page.timetable import page
from tasks.core.timetable.report import Plan, frames, summary


def write(plan: Plan, folder: Path, about: Mapping[str, str]) -> tuple[Path, ...]:
    """Write everything into *folder* and return the files: the timetable and what stands beside it, sheet by sheet."""
    tables = frames(plan)
    written = []
    for name, frame in tables.items():
        written += [_parquet(frame, folder / f"{name}.parquet"), _csv(frame, folder / f"{name}.csv")]
    if find_spec("xlsxwriter"):
        written.append(_xlsx(tables, folder / "timetable.xlsx"))
    written.append(_bytes(canonical_json({"about": dict(about), **summary(plan)}), folder / "timetable.json"))
    return (*written, _bytes(page(plan, about).encode(), folder / "timetable.html"))


def _parquet(frame: pl.DataFrame, to: Path) -> Path:
    write_parquet(frame.lazy(), to)
    return to


def _csv(frame: pl.DataFrame, to: Path) -> Path:
    with replacing(to) as part:
        frame.select(harmless(frame.schema)).write_csv(part)
    return to


def _bytes(content: bytes, to: Path) -> Path:
    with replacing(to) as part:
        part.write_bytes(content)
    return to


def _xlsx(tables: Mapping[str, pl.DataFrame], to: Path) -> Path:
    with replacing(to) as part:
        write_sheets(tables, part)
    return to
