"""The world demo airings are drawn from, as tables: networks, genres, hours, days, faults; and a draw as a value.

Effects are on the natural logarithm of the audience. Nothing here is fitted to anybody's data. Drawing is broadcast.py.
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
Days = npt.NDArray[np.datetime64]
Flags = npt.NDArray[np.bool_]

# Kind of fault → what is wrong with the row. Each is planted in the same share of rows, never two in one row.
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "airing_twice": "carries programme, day and time of another row; both rows are marked",
        "negative_audience": "an audience below zero",
        "rating_above_everybody": "more than all people watched",
        "negative_revenue": "revenue below zero",
        "engagement_above_everybody": "more than all viewers took part",
        "endless_slot": "a slot longer than a day",
        "no_programme": "its programme is a blank",
        "clock_beyond_the_day": "begins at an hour no day has",
        "unparseable_number": "the audience is text that is no number",
    }
)

# People aged 18 to 49 a rating is a share of.
PEOPLE = 1.3e8
TYPICAL_AUDIENCE = 1.2e6
LEAD_IN = 0.25
PROMO = 0.08
REPEAT = -0.45
SEASON = 0.15

# Network → effect; a network beyond these is a local station.
NETWORKS = {"Aurora": 0.5, "Beacon": 0.2, "Civic": -0.1, "Delta Five": -0.6}
LOCAL = -1.2

# Hour at which a slot begins → effect.
HOURS = {13: -0.9, 14: -0.8, 15: -0.7, 16: -0.55, 17: -0.35, 18: -0.2, 19: 0.05, 20: 0.3, 21: 0.35, 22: 0.0}
EVENING = (18, 19, 20, 21, 22)
# Monday first.
WEEKDAYS = (0.05, 0.0, 0.0, 0.05, -0.15, -0.2, 0.2)


@dataclass(frozen=True)
class Genre:
    """Effect on the audience, the hour it suits, US$ per thousand viewers and minute of advertising, and the rest.

    ``young`` is the factor from its share of all people to its share of those aged 18 to 49, ``engaged`` the viewers
    in a hundred who take part.
    """

    share: float
    audience: float
    best_hour: int
    price: float
    young: float
    engaged: float
    minutes: int


GENRES: Mapping[str, Genre] = MappingProxyType(
    {
        "Drama": Genre(0.22, 0.2, 21, 2.2, 0.9, 2.0, 60),
        "Comedy": Genre(0.16, 0.1, 20, 2.4, 1.2, 2.5, 30),
        "Reality": Genre(0.14, 0.15, 20, 2.0, 1.3, 9.0, 60),
        "News": Genre(0.14, 0.0, 18, 1.4, 0.5, 0.8, 30),
        "Sport": Genre(0.08, 0.5, 19, 3.2, 1.1, 5.0, 120),
        "Quiz": Genre(0.10, -0.05, 19, 1.2, 0.6, 4.0, 30),
        "Film": Genre(0.08, 0.0, 21, 1.8, 1.0, 1.2, 120),
        "Documentary": Genre(0.08, -0.4, 22, 1.5, 0.8, 1.0, 60),
    }
)
# Per hour away from the hour a genre suits, squared.
OFF_HOUR = -0.03


@dataclass(frozen=True)
class Airings:
    """The drawn columns, one value per row, oldest first, before they are written as a source writes them."""

    programme: Ints
    network: Ints
    genre: Ints
    day: Days
    hour: Ints
    repeat: Flags
    promo: Ints
    audience: Ints
    rating: Floats
    revenue: Floats
    engagement: Floats
    expected_log_audience: Floats
    expected_log_rating: Floats
    expected_log_revenue: Floats
    expected_log_engagement: Floats
