"""The workloads that exist, by name."""

from tasks.errors import UnknownWorkload
from tasks.workloads.broadcast import BROADCAST
from tasks.workloads.channels import CHANNELS
from tasks.workloads.content import CONTENT
from tasks.workloads.spec import Workload
from tasks.workloads.tracks import TRACKS
from tasks.workloads.video_stats import VIDEO_STATS

WORKLOADS: dict[str, Workload] = {
    workload.name: workload for workload in (CHANNELS, BROADCAST, VIDEO_STATS, TRACKS, CONTENT)
}


def get(name: str) -> Workload:
    """Return the workload called *name*; raises UnknownWorkload, which lists the known ones."""
    if name not in WORKLOADS:
        raise UnknownWorkload(f"there is no workload {name!r}; the known ones are: {', '.join(sorted(WORKLOADS))}")
    return WORKLOADS[name]
