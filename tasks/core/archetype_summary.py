"""What clustering found, as it is kept and shown. Readers of a page need none of the libraries that find it."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.archetype_names import Archetype

STABLE_ARI = 0.8
OUTLIER = "outlier"
LEFT_OUT = "left out"


@dataclass(frozen=True)
class ClusterCount:
    """What speaks for one number of clusters: silhouette and the mean adjusted Rand indices of refits."""

    k: int
    silhouette: float
    ari_seeds: float
    ari_bootstrap: float
    largest_share: float

    @property
    def stable(self) -> bool:
        """Whether refits find the same clusters."""
        return min(self.ari_seeds, self.ari_bootstrap) >= STABLE_ARI


@dataclass(frozen=True)
class ArchetypeSummary:
    """What clustering found, and how far to trust it: rows = in archetypes + outliers + left out."""

    rows: int
    rows_left_out: int
    rows_outlying: int
    rows_fitted: int
    features: tuple[str, ...]
    criterion: str
    chosen: ClusterCount
    tried: tuple[ClusterCount, ...]
    outlier_distance: float
    explained: tuple[float, float]
    archetypes: tuple[Archetype, ...]

    @property
    def stable(self) -> bool:
        """Whether the chosen clusters survive other seeds and other samples."""
        return self.chosen.stable
