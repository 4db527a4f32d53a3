"""The MLflow server that ``greenlight up`` runs: its database is made first, then MLflow's own command takes over.

MLflow's own first start, killed midway, leaves tables it cannot mend.
"""

from __future__ import annotations

import os
import sys

from tasks.adapters import environment, home


def main() -> None:
    """Become ``mlflow server`` with the arguments this process was given."""
    environment.confine(home.root(), home.workers())
    home.registry().prepare()
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
