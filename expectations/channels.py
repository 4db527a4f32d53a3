"""The contract of channels: what a table of YouTube channels must look like before anything learns from it.

The reasons are part of the contract: they stand on the page beside each count. Row rules look at the row alone, never
at the clock, so that one snapshot always splits the same way. A missing value breaks nothing but the rules on presence.
"""

from __future__ import annotations

from expectations.contract import (
    EVERY_CELL_READ,
    NOT_BLANK,
    AsOf,
    Suite,
    Type,
    at_least,
    between,
    matches,
    mostly_present,
    newest,
    paired,
    present,
    table_of,
    unique,
)
from expectations.countries import COUNTRY_CODES

COLUMNS: dict[str, Type] = {
    "channel": "text",
    "observed_at": "datetime",
    "rank": "int",
    "title": "text",
    "subscribers": "int",
    "video_views": "int",
    "category": "text",
    "channel_type": "text",
    "uploads": "int",
    "country": "text",
    "abbreviation": "text",
    "video_views_rank": "int",
    "country_rank": "int",
    "channel_type_rank": "int",
    "views_30d": "int",
    "lowest_monthly_earnings": "float",
    "highest_monthly_earnings": "float",
    "lowest_yearly_earnings": "float",
    "highest_yearly_earnings": "float",
    "subscribers_30d": "int",
    "created_year": "int",
    "created_month": "int",
    "created_date": "int",
    "tertiary_enrolment": "float",
    "population": "int",
    "unemployment_rate": "float",
    "urban_population": "int",
    "latitude": "float",
    "longitude": "float",
    "_row": "int",
    "_unparsed": "text",
}

EARNINGS = ("lowest_monthly_earnings", "highest_monthly_earnings", "lowest_yearly_earnings", "highest_yearly_earnings")
RANKS = ("rank", "video_views_rank", "country_rank", "channel_type_rank")

# Ten times the world's yearly spending on advertising: above it is not an amount, and infinity and NaN are above it.
NO_AMOUNT_USD = 1e13

TABLE = (
    *table_of(COLUMNS),
    mostly_present("channel", 0.95, "rows without the channel's name cannot be joined to features", "critical"),
    mostly_present("subscribers", 0.5, "a target, and the size every channel is judged by", "critical"),
    mostly_present("uploads", 0.5, "one of the few inputs every user has", "critical"),
    mostly_present("country", 0.05, "a declared input; a column without values passes every other rule", "critical"),
    mostly_present("highest_yearly_earnings", 0.05, "a target without labels cannot be learnt", "critical"),
    mostly_present("subscribers_30d", 0.05, "a target without labels cannot be learnt", "critical"),
    mostly_present("video_views", 0.95, "total views carry most of what is known of a channel's size"),
    mostly_present("category", 0.85, "about 5 % are missing where the source is whole"),
    mostly_present("channel_type", 0.85, "about 3 % are missing where the source is whole"),
    mostly_present("abbreviation", 0.75, "about 12 % are missing where the source is whole"),
    mostly_present("views_30d", 0.85, "about 6 % are missing where the source is whole"),
    mostly_present("created_year", 0.95, "a channel's age follows from it"),
    mostly_present("population", 0.75, "about 12 % are missing where the source is whole"),
    newest(
        "not_stale",
        "observed_at",
        "a model of channels as they were more than 400 days ago describes another year's platform",
        earliest=AsOf(-400),
    ),
    newest(
        "not_from_the_future",
        "observed_at",
        "a row seen after tomorrow has a broken clock, and would leak into every training set",
        latest=AsOf(1),
        severity="critical",
    ),
)

IDENTITY = (
    EVERY_CELL_READ,
    present("channel_present", "channel", "a row without its channel's name is nobody's"),
    matches("channel_not_blank", "channel", NOT_BLANK, "a row without its channel's name is nobody's"),
    present("observed_at_present", "observed_at", "without its moment a row cannot be placed before or after another"),
    unique(
        "channel_seen_once",
        ("channel", "observed_at"),
        "two rows of one channel at one moment: which one is right cannot be told, so both are held back",
    ),
)

COUNTS = (
    present("subscribers_present", "subscribers", "a missing label is left out of training", "warning"),
    between("subscribers_positive", "subscribers", "a listed channel has subscribers", low=1),
    present("uploads_present", "uploads", "the row is scored as if nothing were known of its uploads", "warning"),
    between("uploads_not_negative", "uploads", "a count", low=0),
    between(
        "uploads_known",
        "uploads",
        "views without uploads: the source writes 0 where the videos were taken down or never counted",
        low=1,
        severity="warning",
    ),
    between(
        "channel_viewed",
        "video_views",
        "without views it is one of the platform's own pseudo channels (Music, Gaming, Sports), not a creator's",
        low=1,
    ),
    between("views_30d_not_negative", "views_30d", "a count", low=0),
    between(
        "subscribers_30d_not_negative", "subscribers_30d", "the source counts gains, and never writes a loss", low=0
    ),
    *(between(f"{rank}_positive", rank, "ranks begin at 1", low=1, severity="warning") for rank in RANKS),
    at_least(
        "views_cover_subscribers",
        "video_views",
        "subscribers",
        "less than one view per subscriber: the views were never counted, or the channel is not a creator's",
    ),
    at_least("views_cover_views_30d", "video_views", "views_30d", "30 days' views are part of all views"),
    at_least("subscribers_cover_gain", "subscribers", "subscribers_30d", "a month's gain is part of all subscribers"),
)

MONEY = (
    *(
        between(
            f"{amount}_plausible", amount, "an amount in US$, not negative, not infinite", low=0, high=NO_AMOUNT_USD
        )
        for amount in EARNINGS
    ),
    at_least("monthly_range", "highest_monthly_earnings", "lowest_monthly_earnings", "highest is at least lowest"),
    at_least("yearly_range", "highest_yearly_earnings", "lowest_yearly_earnings", "highest is at least lowest"),
    at_least("lowest_year_covers_month", "lowest_yearly_earnings", "lowest_monthly_earnings", "a year has 12 months"),
    at_least(
        "highest_year_covers_month", "highest_yearly_earnings", "highest_monthly_earnings", "a year has 12 months"
    ),
)

CREATION = (
    between(
        "created_year_possible", "created_year", "YouTube opened in 2005; 1970 is a clock's zero", low=2005, high=2100
    ),
    between("created_month_possible", "created_month", "months go from 1 to 12", low=1, high=12),
    between("created_date_possible", "created_date", "days go from 1 to 31", low=1, high=31, severity="warning"),
)

PLACE = (
    matches("country_not_blank", "country", NOT_BLANK, "a blank is not a country; a missing one is left empty"),
    matches("abbreviation_is_a_code", "abbreviation", "^[A-Z]{2}$", "ISO 3166-1 alpha-2: two capital letters"),
    paired(
        "country_matches_code",
        "country",
        "abbreviation",
        COUNTRY_CODES,
        "name and code contradict each other, so the country's figures may be another country's",
    ),
    between("tertiary_enrolment_possible", "tertiary_enrolment", "a gross rate may pass 100 %", low=0, high=150),
    between("unemployment_rate_possible", "unemployment_rate", "a share in %", low=0, high=100),
    between("population_positive", "population", "somebody lives there", low=1),
    between("urban_population_not_negative", "urban_population", "a count of people", low=0),
    at_least("people_cover_city_people", "population", "urban_population", "city people are part of all people"),
    between("latitude_possible", "latitude", "degrees north", low=-90, high=90, severity="warning"),
    between("longitude_possible", "longitude", "degrees east", low=-180, high=180, severity="warning"),
)

SUITE = Suite("channels", (*TABLE, *IDENTITY, *COUNTS, *MONEY, *CREATION, *PLACE))
