"""What is installed where a bundle is made, as CycloneDX 1.6: whoever reads of a hole in a library finds its models.

The list has no serial number and no time, so that one environment gives one list. What a library depends on, and what
is known of its holes, is for tools that read it.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from typing import Any
from urllib.parse import quote

from tasks.core.digests import canonical_json

US = "greenlight"
FIELD = re.compile(r"^(Name|Version|License-Expression|License|Classifier):[ \t]*(.+?)[ \t\r]*$", re.MULTILINE)
OF_A_LICENCE = "License :: "
LONGEST_NAME = 80
# What an installer notes of itself differs between two machines; so do scripts, which begin with where Python lies.
OF_THE_MACHINE = ("dist-info/INSTALLER", "dist-info/REQUESTED", "dist-info/direct_url.json", "dist-info/uv_cache.json")


@lru_cache(maxsize=1)
def bill_of_materials() -> bytes:
    """Return the list of this process' environment; about 0.2 s of a processor, once per process."""
    found: dict[str, dict[str, Any]] = {}
    for distribution in distributions():
        if component := component_of(distribution):
            # The first on the path is the one that is imported.
            found.setdefault(component["bom-ref"].partition("@")[0], component)
    us = {"name": US, "bom-ref": US} | found.pop(f"pkg:pypi/{US}", {}) | {"type": "application"}
    # Its code is in the bundle's lineage; here it is a path, where it runs from its sources.
    us.pop("properties", None)
    python = {"type": "platform", "name": "python", "version": platform.python_version(), "bom-ref": "python"}
    return canonical_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": us},
            "components": [python, *(found[name] for name in sorted(found))],
        }
    )


def component_of(distribution: Distribution) -> dict[str, Any] | None:
    """Describe a library, None for a folder that only looks like one."""
    # The whole would be parsed as an e-mail, descriptions too: half a second more.
    head, _, _ = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").partition("\n\n")
    said = FIELD.findall(head)
    fields = dict(reversed(said))
    if not fields.keys() >= {"Name", "Version"}:
        return None
    url = f"pkg:pypi/{re.sub(r'[-_.]+', '-', fields['Name']).lower()}@{quote(fields['Version'], safe='')}"
    component = {"type": "library", "name": fields["Name"], "version": fields["Version"], "purl": url, "bom-ref": url}
    return (
        component
        | dict(_licences(fields, [value for name, value in said if name == "Classifier"]))
        | _files(distribution)
    )


def _licences(fields: Mapping[str, str], classifiers: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the licence as the library says it: an expression, else names."""
    if "License-Expression" in fields:
        yield "licenses", [{"expression": fields["License-Expression"]}]
        return
    names = {each.rpartition(" :: ")[2] for each in classifiers if each.startswith(OF_A_LICENCE)}
    if not names and "License" in fields:
        names = {fields["License"][:LONGEST_NAME]}
    if names:
        yield "licenses", [{"license": {"name": name}} for name in sorted(names)]


def _files(distribution: Distribution) -> dict[str, Any]:
    """Return one digest over those of all files that were installed: it is of no archive, hence no ``hashes``."""
    lines = sorted(
        line
        for line in (distribution.read_text("RECORD") or "").splitlines()
        if ",sha256=" in line and _is_theirs(line)
    )
    if not lines:
        return {}
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"properties": [{"name": f"{US}:installed-files:sha256", "value": digest}]}


def _is_theirs(line: str) -> bool:
    return not line.startswith("../") and not line.partition(",")[0].endswith(OF_THE_MACHINE)
