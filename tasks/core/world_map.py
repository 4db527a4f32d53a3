"""The world in colours of its share: one path per country, a dot for what is too small to see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from tasks.core.drawing import figure, legend_of, percent, tag

# Shares of the world map: up to the first edge, …, above the last.
MAP_EDGES = (0.001, 0.01, 0.05, 0.2)


def world_map(shares: Mapping[str, tuple[float, str]], *, title: str, description: str) -> Markup:
    """Draw a choropleth of *shares* (two-letter code → share, words), in five steps; unlisted countries stay blank."""
    world = _world()
    lands = Markup("").join(_land(each, shares.get(each["code"])) for each in world["countries"])
    dots = Markup("").join(_dot(each, shares[each["code"]]) for each in world["places"] if each["code"] in shares)
    box = {
        "viewBox": f"0 0 {world['width']} {world['height']}",
        "class": "map",
        "role": "img",
        "aria-label": description,
    }
    steps = ["no rows", *_map_steps()]
    legend = legend_of((label, "square", f"land-{step}") for step, label in enumerate(steps))
    return figure("", title, description, tag("svg", box, lands, dots) + legend)


@cache
def _world() -> Any:
    return json.loads(files("tasks.core").joinpath("world.json").read_text("utf-8"))


def _map_steps() -> list[str]:
    edges = [percent(edge, 1 if edge < 0.01 else 0) for edge in MAP_EDGES]
    return [f"under {edges[0]}", *(f"{a} to {b}" for a, b in pairwise(edges)), f"over {edges[-1]}"]


def _step(share: float) -> int:
    return 1 + sum(share > edge for edge in MAP_EDGES)


def _land(country: Mapping[str, str], share: tuple[float, str] | None) -> Markup:
    words = share[1] if share else f"{country['name']}: no rows"
    tone = f"land-{_step(share[0]) if share else 0}"
    return tag("path", {"class": tone, "d": country["path"]}, tag("title", {}, words))


def _dot(place: Mapping[str, Any], share: tuple[float, str]) -> Markup:
    box = {"class": f"place land-{_step(share[0])}", "cx": place["x"], "cy": place["y"], "r": 45}
    return tag("circle", box, tag("title", {}, share[1]))
