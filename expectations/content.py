"""The contract of content: what a table of videos must look like before anything learns from it.

The reasons are part of the contract: they stand on the page beside each count. A video without outcomes breaks nothing:
it is what is asked about. A source without one of the outcomes trains the targets of the others.
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
    "video": "text",
    "video_id": "text",
    "country": "text",
    "published_at": "datetime",
    "known_at": "datetime",
    "observed_until": "datetime",
    "title": "text",
    "tags": "text",
    "channel": "text",
    "category": "text",
    "duration_seconds": "float",
    "subscribers": "float",
    "views": "int",
    "likes": "int",
    "dislikes": "int",
    "comments": "int",
    "days_trending": "int",
    "trend": "int",
    "like_rate": "float",
    "comment_rate": "float",
    "quality": "float",
    "_row": "int",
    "_unparsed": "text",
}
COUNTS = ("views", "likes", "dislikes", "comments")
# A hundred times what the most watched video ever had.
NOBODY_LEFT = 2e12
MONTH_SECONDS = 31 * 86_400

TABLE = (
    *table_of(COLUMNS),
    mostly_present("video_id", 0.95, "rows without their video cannot be joined to features", "critical"),
    mostly_present("published_at", 0.95, "rows without their moment cannot be put in order", "critical"),
    mostly_present("title", 0.95, "what a video is called is most of what is known before it is out", "critical"),
    mostly_present("channel", 0.85, "without it a video has no record to go by"),
    mostly_present("category", 0.85, "without it a video has no niche to be compared with"),
    *labelled("trend", "like_rate", "comment_rate", "quality"),
    newest(
        "not_stale",
        "published_at",
        "what people watched more than 400 days ago says little of what they watch now",
        earliest=AsOf(-400),
    ),
    newest(
        "not_beyond_the_quarter",
        "published_at",
        "videos are planned a quarter ahead at most; a later one has a broken clock",
        latest=AsOf(92),
        severity="critical",
    ),
)

IDENTITY = (
    EVERY_CELL_READ,
    present("video_present", "video_id", "a row without its video is nobody's"),
    present("published_at_present", "published_at", "without its moment a row has no before and no after"),
    present("title_present", "title", "a video without a title is not published"),
    matches("title_not_blank", "title", NOT_BLANK, "a blank is no title"),
    matches("category_not_blank", "category", NOT_BLANK, "a blank is not a niche; a missing one is left empty"),
    unique(
        "video_is_there_once",
        ("video", "published_at"),
        "two rows of one video in one country at one moment: which is right cannot be told, so both are held back",
    ),
)

COUNTED = (
    *(between(f"{count}_possible", count, "a count, and not of more than all there are", low=0, high=NOBODY_LEFT)
      for count in COUNTS),
    at_least("views_cover_likes", "views", "likes", "who likes has watched"),
    at_least("read_after_published", "known_at", "published_at", "nobody counts what is not there yet"),
    between(
        "length_of_a_video",
        "duration_seconds",
        "longer than a month is a stream that was never ended, or another unit",
        low=0,
        high=MONTH_SECONDS,
        above=True,
    ),
    between("days_possible", "days_trending", "days, and not of more than there were", low=0, high=3650),
    between("trend_or_not", "trend", "1 trended, 0 did not", low=0, high=1),
    between("quality_is_a_share", "quality", "likes among all who judged it", low=0, high=1),
    between("subscribers_possible", "subscribers", "a count of people", low=0, high=NOBODY_LEFT),
)  # fmt: skip

SUITE = Suite("content", (*TABLE, *IDENTITY, *COUNTED))
