"""The contract of broadcast: what a table of airings must look like before anything learns from it.

The reasons are part of the contract: they stand on the page beside each count. Row rules look at the row alone, never
at the clock, so that one snapshot always splits the same way. A missing value breaks nothing but the rules on presence.
No target must be there: a source with only some of them trains those, so a target without labels is a warning.
"""

from __future__ import annotations

from expectations.contract import (
    EVERY_CELL_READ,
    NOT_BLANK,
    AsOf,
    Suite,
    Type,
    between,
    labelled,
    matches,
    mostly_present,
    newest,
    present,
    table_of,
    unique,
)

COLUMNS: dict[str, Type] = {
    "programme": "text",
    "airs_at": "datetime",
    "slot_start": "text",
    "slot_minutes": "float",
    "network": "text",
    "country": "text",
    "genre": "text",
    "kind": "text",
    "promo_spots": "int",
    "rating": "float",
    "revenue": "float",
    "audience": "int",
    "engagement": "float",
    "_row": "int",
    "_unparsed": "text",
}
TARGETS = ("rating", "revenue", "audience", "engagement")

# More than the people there are; and ten times what the dearest evening of advertising ever brought.
NOBODY_LEFT = 9e9
NO_AMOUNT_USD = 1e10
CLOCK = r"^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"

TABLE = (
    *table_of(COLUMNS),
    mostly_present("programme", 0.95, "rows without their programme cannot be joined to features", "critical"),
    mostly_present("airs_at", 0.95, "rows without their moment cannot be put in order", "critical"),
    *labelled(*TARGETS),
    mostly_present("slot_start", 0.85, "without its time of day an airing has no slot and no lead-in"),
    mostly_present("network", 0.85, "a slot is a network's; about 1 % are missing where the source is whole"),
    mostly_present("genre", 0.85, "about 2 % are missing where the source is whole"),
    mostly_present("slot_minutes", 0.85, "about 3 % are missing where the source is whole"),
    newest(
        "not_stale",
        "airs_at",
        "a model of audiences as they were more than 400 days ago describes another season's",
        earliest=AsOf(-400),
    ),
    newest(
        "not_beyond_the_season",
        "airs_at",
        "timetables are planned a year ahead at most; a later airing has a broken clock",
        latest=AsOf(400),
        severity="critical",
    ),
)

IDENTITY = (
    EVERY_CELL_READ,
    present("programme_present", "programme", "a row without its programme's name is nobody's"),
    present("airs_at_present", "airs_at", "without its moment a row cannot be placed before or after another"),
    unique(
        "programme_airs_once",
        ("programme", "airs_at"),
        "two rows of one programme at one moment: which one is right cannot be told, so both are held back",
    ),
)

SLOT = (
    matches("slot_start_is_a_clock", "slot_start", CLOCK, "hours of a day go from 0 to 23, minutes to 59"),
    between("slot_minutes_possible", "slot_minutes", "longer than nothing, and no longer than a day", low=1, high=1440),
    matches("network_not_blank", "network", NOT_BLANK, "a blank is not a network; a missing one is left empty"),
    matches("genre_not_blank", "genre", NOT_BLANK, "a blank is not a genre; a missing one is left empty"),
    matches(
        "kind_known", "kind", "^(premiere|repeat)$", "another word says neither; it is learned as it is", "warning"
    ),
    between("promo_spots_not_negative", "promo_spots", "a count", low=0),
)

FIGURES = (
    between("rating_possible", "rating", "a share of people in %", low=0, high=100),
    between(
        "audience_possible",
        "audience",
        "somebody watched what was measured, and not more than all",
        low=1,
        high=NOBODY_LEFT,
    ),
    between("revenue_plausible", "revenue", "an amount in US$, not negative, not infinite", low=0, high=NO_AMOUNT_USD),
    between("engagement_possible", "engagement", "a share of the viewers in %", low=0, high=100),
)

SUITE = Suite("broadcast", (*TABLE, *IDENTITY, *SLOT, *FIGURES))
