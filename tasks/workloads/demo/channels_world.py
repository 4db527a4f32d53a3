"""The world demo channels are drawn from, as tables: groups, categories, countries, faults; and a draw as a value.

Nothing here is fitted to anybody's data; country figures are round public ones. Drawing is channels.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

# Kind of fault → what is wrong with the row. Each is planted in the same share of rows, never two in one row.
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "duplicate_channel": "carries the name of another row; both rows are marked",
        "negative_uploads": "uploads below zero",
        "recent_above_total": "more views in 30 days than in all its life",
        "low_above_high": "the lower estimate of earnings is above the higher one",
        "monthly_above_yearly": "earns more in a month than in a year",
        "country_code_mismatch": "the country code belongs to another country",
        "created_too_early": "created before 2005, when there was no such platform",
        "views_below_subscribers": "fewer views in all than subscribers",
        "unparseable_number": "uploads is text that is no number",
    }
)

# US$ per view, as the source computes its lower and upper estimate.
LOW_PER_VIEW = 0.00025
HIGH_PER_VIEW = 0.004


@dataclass(frozen=True)
class Archetype:
    """Medians of a latent group; the last two are factors on top of what the other columns predict."""

    name: str
    share: float
    uploads: float
    views_per_upload: float
    recent_share: float
    growth: float


ARCHETYPES = (
    Archetype("viral entertainers", 0.20, 2_200, 2.4e6, 4.5, 4.5),
    Archetype("high earning low upload", 0.25, 30, 9.0e7, 1.6, 0.9),
    Archetype("high upload low growth", 0.30, 30_000, 6.0e4, 0.40, 0.25),
    Archetype("consistent educators", 0.25, 280, 3.6e6, 0.7, 0.8),
)

# Category → (share, factor on views per upload, factor on subscribers, channel type it mostly goes with).
CATEGORIES = {
    "Entertainment": (0.25, 1.1, 1.1, "Entertainment"),
    "Music": (0.21, 1.5, 1.2, "Music"),
    "People & Blogs": (0.14, 0.9, 1.0, "People"),
    "Gaming": (0.10, 0.8, 1.05, "Games"),
    "Comedy": (0.07, 1.0, 1.1, "Comedy"),
    "Film & Animation": (0.05, 1.3, 0.9, "Film"),
    "Education": (0.05, 1.6, 0.9, "Education"),
    "Howto & Style": (0.04, 0.8, 0.9, "Howto"),
    "News & Politics": (0.03, 0.5, 0.7, "News"),
    "Science & Technology": (0.02, 0.9, 0.95, "Tech"),
    "Shows": (0.02, 1.2, 0.8, "Entertainment"),
    "Sports": (0.02, 0.9, 1.0, "Sports"),
}

# Country → (code, share, factor on subscribers, tertiary enrolment %, population, unemployment %, urban population,
# latitude, longitude).
COUNTRIES = {
    "United States": ("US", 0.31, 1.1, 88.0, 328_000_000, 5.4, 271_000_000, 37.1, -95.7),
    "India": ("IN", 0.17, 1.25, 28.0, 1_366_000_000, 5.4, 471_000_000, 20.6, 79.0),
    "Brazil": ("BR", 0.07, 1.05, 51.0, 213_000_000, 12.1, 184_000_000, -14.2, -51.9),
    "United Kingdom": ("GB", 0.05, 1.0, 60.0, 67_000_000, 3.9, 56_000_000, 55.4, -3.4),
    "Mexico": ("MX", 0.04, 1.05, 40.0, 126_000_000, 3.4, 102_000_000, 23.6, -102.6),
    "Indonesia": ("ID", 0.04, 1.1, 36.0, 270_000_000, 4.7, 151_000_000, -0.8, 113.9),
    "Spain": ("ES", 0.03, 0.95, 89.0, 47_000_000, 14.0, 38_000_000, 40.5, -3.7),
    "Thailand": ("TH", 0.03, 0.95, 49.0, 70_000_000, 0.8, 35_000_000, 15.9, 101.0),
    "South Korea": ("KR", 0.03, 1.0, 94.0, 52_000_000, 4.1, 42_000_000, 35.9, 127.8),
    "Russia": ("RU", 0.03, 0.9, 82.0, 144_000_000, 4.6, 108_000_000, 61.5, 105.3),
    "Canada": ("CA", 0.025, 0.95, 69.0, 37_000_000, 5.6, 30_000_000, 56.1, -106.3),
    "Argentina": ("AR", 0.02, 0.9, 90.0, 45_000_000, 9.8, 41_000_000, -38.4, -63.6),
    "Philippines": ("PH", 0.02, 0.95, 35.0, 108_000_000, 2.2, 51_000_000, 12.9, 121.8),
    "Colombia": ("CO", 0.02, 0.9, 55.0, 50_000_000, 9.7, 41_000_000, 4.6, -74.3),
    "Saudi Arabia": ("SA", 0.015, 0.9, 68.0, 34_000_000, 5.9, 29_000_000, 23.9, 45.1),
    "Australia": ("AU", 0.015, 0.9, 113.0, 26_000_000, 5.3, 22_000_000, -25.3, 133.8),
    "United Arab Emirates": ("AE", 0.015, 0.9, 37.0, 9_800_000, 2.4, 8_500_000, 23.4, 53.8),
    "Pakistan": ("PK", 0.015, 1.1, 9.0, 217_000_000, 4.5, 80_000_000, 30.4, 69.3),
    "Turkey": ("TR", 0.01, 0.9, 24.0, 83_000_000, 13.5, 63_000_000, 39.0, 35.2),
    "Germany": ("DE", 0.01, 0.85, 70.0, 83_000_000, 3.0, 64_000_000, 51.2, 10.5),
    "Japan": ("JP", 0.01, 0.85, 63.0, 126_000_000, 2.3, 116_000_000, 36.2, 138.3),
    "France": ("FR", 0.01, 0.85, 66.0, 67_000_000, 8.4, 54_000_000, 46.2, 2.2),
    "Ukraine": ("UA", 0.01, 0.9, 83.0, 44_000_000, 8.9, 31_000_000, 48.4, 31.2),
    "Chile": ("CL", 0.01, 0.9, 88.0, 19_000_000, 7.1, 17_000_000, -35.7, -71.5),
    "Vietnam": ("VN", 0.01, 1.0, 29.0, 96_000_000, 2.0, 35_000_000, 14.1, 108.3),
}


@dataclass(frozen=True)
class Channels:
    """The drawn columns, one value per row, before they are written as the source writes them."""

    archetype: Ints
    category: Ints
    country: Ints
    channel_type: Texts
    created_day: npt.NDArray[np.datetime64]
    uploads: Ints
    views: Ints
    subscribers: Ints
    views_30d: Ints
    growth: Ints
    expected_log_subscribers: Floats
    expected_log_earnings: Floats
    expected_log_growth: Floats
