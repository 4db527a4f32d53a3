"""The commands that measure: what the records tell a monitoring system, and how fast networks are on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import home, policies
from tasks.adapters.settings import settings
from tasks.workloads import WORKLOADS


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("metrics")(tell)
    app.command("measure-network")(measure_network)


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


def measure_network(
    workload: WorkloadName,
    ring: Annotated[str, typer.Option(help="whose champion is measured")] = "dev",
    json: Json = False,
) -> None:
    """Time every way to run the champion's networks here, and an epoch of teaching them on GREENLIGHT_DEVICE.

    Nothing is published: "serves" marks what would be chosen here. On a GPU also: peak memory, how busy it is, and the
    largest batch that fits.

    Example: greenlight measure-network content
    """
    from tasks.adapters import network_costs
    from tasks.core.page.variants import ways

    spec = workloads.get(workload)
    with home.scratch(workload, "measure") as folder:
        found = network_costs.measure(home.store(), home.root() / "keys", spec, ring, home.device(), folder)
    if json:
        screen.show(found, "", json=True)
        return
    told, out = ways(found.ways), screen.console()
    table = Table(*told.header, title=f"{workload} {found.version}, as it serves in {ring}", title_justify="left")
    for row in told.rows:
        table.add_row(*row)
    out.print(table)
    for line in found.training:
        out.print(Text(line), soft_wrap=True)
