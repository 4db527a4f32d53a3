"""A search's state as bytes and back: plain JSON, bound to the problem and settings it belongs to; never a pickle.

Where the bytes lie is the caller's matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from tasks.core.digests import canonical_json, digest_of, digest_of_bytes
from tasks.core.timetable.evolution import State
from tasks.core.timetable.grid import Grid
from tasks.errors import BadRequest


def identity(grid: Grid, settings: Any) -> str:
    """Return the digest of the problem's arrays and the settings: a state goes on only from the same."""
    parts = {each.name: np.asarray(getattr(grid, each.name)) for each in fields(grid)}
    arrays = {name: [str(it.dtype), list(it.shape), digest_of_bytes(it.tobytes())] for name, it in parts.items()}
    return digest_of({"grid": arrays, "settings": settings})


def encoded(state: State, belongs_to: str) -> bytes:
    """Return the state as canonical JSON; equal states are equal bytes."""
    return canonical_json(
        {
            "belongs_to": belongs_to,
            "generation": state.generation,
            "population": state.population.tolist(),
            "front": state.front.tolist(),
            "reached": state.reached.tolist(),
            "still": state.still,
            "log": state.log,
            "chance": state.chance,
        }
    )


def decoded(data: bytes, belongs_to: str) -> State:
    """Return the state in *data*; raises BadRequest if it is none, or another problem's or other settings'."""
    try:
        found: Mapping[str, Any] = json.loads(data)
        if found["belongs_to"] != belongs_to:
            raise BadRequest(
                f"the checkpoint belongs to {found['belongs_to'][:12]}, this problem with these settings is "
                f"{belongs_to[:12]}; begin anew, or hand over the same inputs"
            )
        return State(
            generation=int(found["generation"]),
            population=np.array(found["population"], np.intp),
            front=np.array(found["front"], np.intp),
            reached=np.array(found["reached"], float),
            still=int(found["still"]),
            log=tuple(found["log"]),
            chance=found["chance"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"{len(data)} bytes are no checkpoint ({error}); begin anew") from error
