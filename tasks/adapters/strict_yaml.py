"""YAML in which a key that is written twice is an error: the library keeps the last in silence, and lets somebody in.

What the keys mean, and which file they are in, is known to whoever reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


class _Strict(yaml.SafeLoader):
    # Where the text is read, for an anchor that is merged elsewhere has its keys doubled by the library afterwards.
    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names: Counter[Hashable] = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [name for name, times in names.items() if times > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} is written twice", node.start_mark)
        return node


def read(path: Path) -> Any:
    """Return the plain values in the file; raises YAMLError, OSError or UnicodeDecodeError."""
    # The class is a SafeLoader: it makes plain values only.
    return yaml.load(path.read_text("utf-8"), Loader=_Strict)
