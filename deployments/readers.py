"""What a reader may ask of a home without a flow: scores, a check of everything, projections made again, demo rows."""

from __future__ import annotations

import filecmp
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from tasks import workloads
from tasks.adapters import anchors, contents, dossiers, frames, home, ledger, projections, serving
from tasks.adapters.bundles import Bundle
from tasks.adapters.cached import at_its_origin
from tasks.adapters.export_files import is_there, refuse_source
from tasks.adapters.signing import trusted_keys
from tasks.adapters.snapshots import moment
from tasks.adapters.sources import read_source
from tasks.core.scoring import answers
from tasks.core.values import Entry, Finding
from tasks.errors import BadRequest, HomeDamaged, NotTrusted, OutOfSpace
from tasks.workloads.spec import Workload

Findings = tuple[Finding, ...]
WRITTEN = (".csv", ".parquet")


@dataclass(frozen=True)
class Written:
    """A table that was written."""

    rows: int
    path: str


@dataclass(frozen=True)
class Scored:
    """Rows that were scored, and by what."""

    rows: int
    path: str
    version: str
    targets: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Checked:
    """What a check of a workload looked at; it raises where anything does not hold."""

    workload: str
    entries: int
    champion: str
    files: int
    sentence: str


def predict(workload: str, source: Path, out: Path, *, ring: str, observed_at: str | None = None) -> Scored:
    """Score *source* with what the champion serves: columns ``<target>``, ``<target>_low`` and ``<target>_high``.

    No column is required: what a model was trained to do without may be missing.
    """
    # Before any work is done: what is asked wrongly is said at once.
    refuse_source(out, source)
    _refuse_form(out)
    spec = workloads.get(workload)
    champion = serving.open_champion(home.store(), home.root() / "keys", workload, ring)
    entry, bundle = champion.entry, champion.bundle
    contents.refuse_other_features(bundle, spec)
    raw, findings = _read(spec, bundle, source, observed_at)
    rows = spec.derive(raw.lazy()).collect()
    models = {target: contents.model_of(bundle, target) for target in entry.serves}
    scored = rows.select(spec.entity, spec.event_time).with_columns(answers(rows, models))
    write_table(scored, out)
    return Scored(scored.height, str(out), entry.version, entry.serves, findings)


def row_of(
    spec: Workload, bundle: Bundle, source: Path, entity: str | None, *, observed_at: str | None
) -> pl.DataFrame:
    """Return the one row of *source* (of *entity* if given), as it is read; no column is required."""
    rows, _ = _read(spec, bundle, source, observed_at)
    chosen = rows if entity is None else rows.filter(pl.col(spec.entity) == entity)
    if chosen.height != 1:
        whose = "" if entity is None else f" of {spec.entity} {entity!r}"
        raise BadRequest(f"{source} has {chosen.height:,} rows{whose}, wanted is one; choose it with --entity ID")
    return chosen


def _read(spec: Workload, bundle: Bundle, source: Path, observed_at: str | None) -> tuple[pl.DataFrame, Findings]:
    lenient = replace(spec, columns=tuple(replace(column, required=False) for column in spec.columns))
    when = moment(observed_at) or _trained_at(spec, bundle)
    with home.scratch(spec.name, "predict") as folder:
        read = read_source(lenient, source, folder / "rows.parquet", observed_at=when)
        return pl.read_parquet(folder / "rows.parquet"), read.findings


def _trained_at(spec: Workload, bundle: Bundle) -> datetime:
    """Return the newest moment the champion was trained on: undated rows are scored as of then."""
    rows = contents.evidence_of(bundle).training_set.rows
    newest: datetime = frames.read(home.store(), rows)[spec.event_time].max()  # type: ignore[assignment]
    return newest


def verify(workload: str, *, ring: str) -> Checked:
    """Check the ledger's chain, then the champion and every byte of its bundle; raises NotTrusted or HomeDamaged."""
    workloads.get(workload)
    keys = home.root() / "keys"
    noted = anchors.noted(home.store(), keys, workload, trusted_keys(keys))
    broken = ledger.verify(home.store(), trusted_keys(keys), workload, *noted)
    if broken is not None:
        raise NotTrusted(f"the ledger of {workload} is broken at entry {broken.number}: {broken.reason}")
    champion = serving.open_champion(at_its_origin(home.store()), keys, workload, ring)
    entry, bundle = champion.entry, champion.bundle
    seen = projections.serving(home.store(), trusted_keys(keys), workload, ring)
    if seen != entry:
        raise HomeDamaged(
            f"readers of {workload} in {ring} see {_named(seen)}, the ledger ends with {_named(entry)}. If the first "
            "is newer, the ledger's end was cut off: restore it from a backup; else run: greenlight reconcile"
        )
    dossier = dossiers.trace(home.store(), trusted_keys(keys), entry)
    entries, files = ledger.length(home.store(), workload), len(bundle.manifest.files)
    sentence = (
        f"{workload}: {entries} ledger entries hold; {entry.version} serves {', '.join(entry.serves)} in {ring}, "
        f"let out on the dossier {dossier.digest[:16]}; signature and {files} files of its bundle verified"
    )
    return Checked(workload, entries, entry.version, files, sentence)


def _named(entry: Entry | None) -> str:
    return f"entry {entry.number} ({entry.version})" if entry else "nothing"


def write_table(frame: pl.DataFrame, out: Path, *, force: bool = True) -> Written:
    """Write *frame* as CSV or Parquet, as *out* says; whole or not at all.

    Raises BadRequest for a name that says otherwise and, without *force*, where another file is there.
    """
    _refuse_form(out)
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".parquet":
            frame.write_parquet(part)
        else:
            frame.write_csv(part)
        if not force and out.exists() and not filecmp.cmp(part, out, shallow=False):
            part.unlink()
            raise is_there(out, "--out")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutOfSpace(
            f"{out} cannot be written: {error.strerror or error}; name another file, or free some space"
        ) from error
    return Written(frame.height, str(out))


def _refuse_form(out: Path) -> None:
    if out.suffix not in WRITTEN:
        raise BadRequest(f"{out} would be neither CSV nor Parquet; name a file that ends in {' or '.join(WRITTEN)}")
