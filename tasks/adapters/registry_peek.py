"""Where the model registry's aliases point, asked without MLflow: importing it takes longer than a status may take.

Reads the tables MLflow keeps in its SQLite file; a registry on a server is asked by ``registry``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from tasks.errors import HomeDamaged

BUNDLE_OF_ALIAS = """
SELECT pointer.name, pointer.alias, coalesce(tag.value, '')
FROM registered_model_aliases AS pointer
LEFT JOIN model_version_tags AS tag
ON tag.name = pointer.name AND tag.version = pointer.version AND tag.key = 'bundle_digest'
"""


def aliases(database: Path) -> Mapping[tuple[str, str], str]:
    """Return what aliases point at: (workload, alias) → the bundle's digest, empty for a version without a bundle.

    Raises HomeDamaged if the file is no database of MLflow's.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=2)) as connection:
            return {(str(name), str(alias)): str(digest) for name, alias, digest in connection.execute(BUNDLE_OF_ALIAS)}
    except sqlite3.Error as error:
        raise HomeDamaged(
            f"MLflow's database {database} cannot be read: {error}; move it away, then run: greenlight reconcile"
        ) from error
