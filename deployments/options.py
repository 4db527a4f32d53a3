"""What many commands ask for in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.core.tuning import MOST_SECONDS, MOST_TRIALS

WorkloadName = Annotated[str, typer.Argument(metavar="WORKLOAD", help="the workload's name, for example channels")]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON on standard output")]
Reason = Annotated[str, typer.Option(help="why, in a sentence: it is what the history says in a year")]
By = Annotated[str, typer.Option("--requested-by", help="who asks; else whoever is logged in")]
TuneTrials = Annotated[
    int, typer.Option(min=0, max=MOST_TRIALS, help="sets of parameters to try per candidate and target")
]
TuneSeconds = Annotated[float, typer.Option(min=0, max=MOST_SECONDS, help="seconds to spend on trying, in all")]
