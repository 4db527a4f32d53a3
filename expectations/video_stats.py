"""The contract of video_stats: what a table of looks at videos must look like before anything learns from it.

The reasons are part of the contract: they stand on the page beside each count. A row without counts breaks nothing: it
asks what the video will have at that moment.
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
    labelled,
    matches,
    mostly_present,
    newest,
    present,
    table_of,
    unique,
)

COLUMNS: dict[str, Type] = {
    "video_id": "text",
    "observed_at": "datetime",
    "published_at": "datetime",
    "category": "text",
    "country": "text",
    "views": "int",
    "likes": "int",
    "comments": "int",
    "_row": "int",
    "_unparsed": "text",
}
# A hundred times what the most watched video ever had.
NOBODY_LEFT = 2e12

TABLE = (
    *table_of(COLUMNS),
    mostly_present("video_id", 0.95, "rows without their video cannot be joined to features", "critical"),
    mostly_present("observed_at", 0.95, "rows without their moment cannot be put in order", "critical"),
    mostly_present("views", 0.5, "what grows is what is learned from; nothing else stands in for it", "critical"),
    *labelled("likes", "comments"),
    mostly_present("published_at", 0.5, "without it a video's age is not known"),
    mostly_present("category", 0.85, "about 2 % are missing where the source is whole"),
    newest(
        "not_stale",
        "observed_at",
        "what videos gained more than 400 days ago says little of what they gain now",
        earliest=AsOf(-400),
    ),
    newest(
        "not_beyond_the_week",
        "observed_at",
        "moments are asked for a week ahead at most; a later look has a broken clock",
        latest=AsOf(8),
        severity="critical",
    ),
)

IDENTITY = (
    EVERY_CELL_READ,
    present("video_present", "video_id", "a row without its video is nobody's"),
    present("observed_at_present", "observed_at", "without its moment a row cannot be placed before or after another"),
    unique(
        "looked_at_once",
        ("video_id", "observed_at"),
        "two looks at one video in one moment: which one is right cannot be told, so both are held back",
    ),
    matches("category_not_blank", "category", NOT_BLANK, "a blank is not a category; a missing one is left empty"),
)

COUNTED = (
    *(
        between(f"{count}_possible", count, "a count, and not of more than all there are", low=0, high=NOBODY_LEFT)
        for count in ("views", "likes", "comments")
    ),
    at_least("views_cover_likes", "views", "likes", "who likes has watched"),
    at_least("looked_at_after_published", "observed_at", "published_at", "nobody sees a video before it is there"),
)

SUITE = Suite("video_stats", (*TABLE, *IDENTITY, *COUNTED))
