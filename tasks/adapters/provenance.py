"""Which code computed a result: one digest over our own sources and the versions of the libraries that decide numbers.

It goes into every remembered result, so a change of code is never hidden by an older result.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Any

from tasks.core.digests import digest_of
from tasks.workloads.spec import Workload

PACKAGES = ("tasks", "flows", "feature_repo", "expectations")
LIBRARIES = (
    "catboost",
    "duckdb",
    "feast",
    "ftfy",
    "great-expectations",
    "jinja2",
    "numpy",
    "onnxruntime",
    "pandas",
    "polars",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "scipy",
    "skops",
    "torch",
    "usearch",
    "xgboost",
)

# Those that a fitted model is made of: with another version of one it may load and say something else.
OF_MODELS = ("python", "catboost", "numpy", "safetensors", "scikit-learn", "scipy", "skops", "torch", "xgboost")


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the digest of this installation's code; computed once per process."""
    sources = {name: source_digest(folder) for name in PACKAGES for folder in _folders(name)}
    return digest_of({"sources": sources, "libraries": library_versions()})


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide numbers; ``absent`` where one is not installed."""
    return {"python": ".".join(map(str, sys.version_info[:2])), **{name: _version(name) for name in LIBRARIES}}


def other_versions(made_with: Mapping[str, str]) -> str:
    """Name the libraries of models that are installed in another version than a bundle was made with."""
    here = library_versions()
    told = (
        f"{name} {here[name]} is installed, it was made with {made_with.get(name, 'an unknown one')}"
        for name in OF_MODELS
        if made_with.get(name) != here[name]
    )
    return "; ".join(told)


def features_digest(spec: Workload) -> str:
    """Return the digest of how a workload's rows become features: those declared, and the code of ``derive``.

    Comments, docstrings and layout do not count, nor does any other code: only what a model was taught to read.
    """
    said: dict[str, str] = {}
    _gather(spec.derive, said)
    return digest_of({"features": [(each.name, each.type) for each in spec.features], "derive": said})


def _gather(function: Callable[..., Any], said: dict[str, str]) -> None:
    """Add what *function* says, and every function and value of ours that it names, however deep."""
    name = f"{function.__module__}.{function.__qualname__}"
    if name in said:
        return
    said[name] = _without_words(textwrap.dedent(inspect.getsource(function)))
    for used in _names_in(function.__code__):
        value = function.__globals__.get(used)
        if inspect.isfunction(value) and value.__module__.partition(".")[0] in PACKAGES:
            _gather(value, said)
        elif isinstance(value, str | int | float | tuple | frozenset | Mapping):
            said[f"{function.__module__}.{used}"] = _spelt(value)


def _spelt(value: Any) -> str:
    """Return a value's text as every process spells it: sets in order, and nothing of where it lies in memory."""
    ordered = sorted(value, key=repr) if isinstance(value, frozenset) else value
    return re.sub(r" at 0x[0-9a-f]+", "", repr(ordered))


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)


def _without_words(source: str) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda in the midst of an expression
        return source.strip()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def source_digest(folder: Path) -> str:
    """Return the sha256 over the files under *folder*: their relative names and bytes, in order of name."""
    digest = hashlib.sha256()
    for path in sorted(_sources(folder), key=lambda each: each.relative_to(folder).as_posix()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    """Yield what the code reads of itself too: templates, styles and the map decide what a page shows."""
    yield from (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _folders(name: str) -> Iterator[Path]:
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations:
        yield Path(next(iter(spec.submodule_search_locations)))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
