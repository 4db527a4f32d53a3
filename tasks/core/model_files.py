"""A model as files and back, without pickle: ``model.json`` of our own, and one file in the estimator's own format.

Nothing is written to disk here, and nothing that the list of file names does not hold is read. Digest and signature
are checked before (adapters); this is the second lock, for whoever has a key and a bad file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from tasks.core.encoding import Encoder
from tasks.core.estimators import ALGORITHMS, load_estimator, run_as
from tasks.core.intervals import Band
from tasks.core.models import Calibration, Learned, Model
from tasks.core.scales import Correction, Scale
from tasks.errors import NotTrusted
from tasks.workloads.spec import Feature

FORMAT = 1
DESCRIPTION = "model.json"
# What runs the model's networks, where that is not the weights as they were fitted; they stay the model's truth.
VARIANT, GRAPH = "variant", ".onnx"


def to_files(model: Model) -> dict[str, bytes]:
    """Return the model's files; the same fit gives the same bytes."""
    learned = model.learned
    plain = {
        "format": FORMAT,
        "target": model.target,
        "unit": model.unit,
        "algorithm": learned.algorithm,
        "features": [asdict(feature) for feature in learned.features],
        "optional": model.optional,
        "encoder": learned.encoder.to_json(),
        "scale": asdict(learned.scale),
        "previous": learned.previous,
        "trend": learned.trend,
        "full": asdict(model.full),
        "bare": asdict(model.bare),
    }
    if model.typical:
        plain["typical"] = asdict(model.typical)
    variant = getattr(learned.estimator, "variant", None)
    named = {VARIANT: variant.name} if variant else {}
    description = json.dumps(plain | named, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode()
    files = {DESCRIPTION: description, ALGORITHMS[learned.algorithm].file: learned.estimator.to_bytes()}
    contents = variant.contents if variant else ()
    return files | dict(zip(network_files(len(contents)), contents, strict=True))


def network_files(count: int) -> tuple[str, ...]:
    """Return the names of the files of *count* networks, in their order."""
    return tuple(f"network{f'-{place}' if place else ''}{GRAPH}" for place in range(count))


def from_files(files: Mapping[str, bytes]) -> Model:
    """Return the model of these files; NotTrusted for a missing, extra or unreadable one, or a type not listed."""
    plain = _description(files)
    name = plain["algorithm"]
    has_graphs = plain.get(VARIANT, "").startswith("onnx")
    networks = network_files(max(1, sum(each.endswith(GRAPH) for each in files)) if has_graphs else 0)
    wanted = {DESCRIPTION, ALGORITHMS[name].file, *networks}
    if set(files) != wanted:
        raise NotTrusted(
            f"a {name} model has the files {sorted(wanted)}, and {sorted(files)} were found; it was not loaded."
            " Publish the bundle again."
        )
    try:
        encoder = Encoder.from_json(plain["encoder"])
        estimator = load_estimator(name, files[ALGORITHMS[name].file], encoder.category_columns)
        if VARIANT in plain:
            estimator = run_as(estimator, plain[VARIANT], *(files[each] for each in networks))
        features = tuple(Feature(**feature) for feature in plain["features"])
        learned = Learned(name, features, encoder, Scale(**plain["scale"]), estimator)
        learned = replace(learned, previous=plain.get("previous", ""), trend=plain.get("trend", ""))
        full, bare = _calibration(plain["full"]), _calibration(plain["bare"])
        typical = _calibration(plain["typical"]) if "typical" in plain else None
        return Model(plain["target"], plain["unit"], learned, tuple(plain["optional"]), full, bare, typical)
    except (KeyError, TypeError) as error:
        raise NotTrusted(
            f"{DESCRIPTION} is not what this version writes ({error}); publish the bundle again"
        ) from error


def _description(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        plain = json.loads(files[DESCRIPTION])
        found, name = plain["format"], plain["algorithm"]
    except (KeyError, ValueError, TypeError) as error:
        raise NotTrusted(f"{DESCRIPTION} is missing or is not JSON ({error!r}); publish the bundle again") from error
    if found != FORMAT or name not in ALGORITHMS:
        raise NotTrusted(
            f"{DESCRIPTION} has format {found!r} and algorithm {name!r}; this version reads format {FORMAT} and"
            f" {', '.join(ALGORITHMS)}. Use the version that wrote it, or train again."
        )
    return dict(plain)


def _calibration(plain: Mapping[str, Any]) -> Calibration:
    band = Band(*(tuple(plain["band"][name]) for name in ("edges", "lows", "highs")))
    return Calibration(Correction(**plain["correction"]), band)
