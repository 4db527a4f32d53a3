"""A day of a table has one name, in one spelling."""

from __future__ import annotations

import pytest

from tasks.core.partitions import checked_day, partition_key
from tasks.errors import BadRequest


def test_a_day_lies_under_its_kind_workload_and_date():
    key = partition_key("predictions", "channels", "2026-11-21", "prod")
    assert key == "predictions/channels/2026-11-21/prod.json"


@pytest.mark.parametrize("text", ["2026-11-31", "yesterday", "20261121", "2026-W47-6", "", "../2026"])
def test_what_is_no_day_in_the_one_spelling_is_refused(text):
    with pytest.raises(BadRequest, match=r"2026-11-21|another spelling"):
        checked_day(text)


@pytest.mark.parametrize("name", ["", "..", "a/b", "Prod", "-x"])
def test_what_cannot_name_a_file_is_refused(name):
    with pytest.raises(BadRequest, match="cannot name a partition"):
        partition_key("predictions", "channels", "2026-11-21", name)
