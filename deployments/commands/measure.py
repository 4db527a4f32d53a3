"""The command that tells a monitoring system how things stand, out of the records."""

from __future__ import annotations

import typer

from deployments import screen
from deployments.options import Json
from tasks.adapters import home, policies
from tasks.adapters.settings import settings
from tasks.workloads import WORKLOADS


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("metrics")(tell)


def tell(json: Json = False) -> None:
    """Print every metric in Prometheus' text format; write and push it where the settings say so.

    GREENLIGHT_METRICS_FILE names a file for the node exporter's textfile collector, GREENLIGHT_PUSHGATEWAY a gateway.

    Example: greenlight metrics
    """
    # Its library costs every other command a tenth of a second.
    from tasks.adapters import metrics

    found = metrics.gather(home.store(), home.root(), tuple(WORKLOADS), policies.rings())
    if (file := settings().metrics_file) is not None:
        metrics.write(found, file)
    if settings().pushgateway:
        metrics.push(found, settings().pushgateway)
    screen.show(found, metrics.text(found).rstrip("\n"), json=json)
