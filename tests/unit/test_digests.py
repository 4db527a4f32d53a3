from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.digests import canonical_json, digest_of, plain
from tasks.core.values import Blob, Finding
from tasks.errors import BadRequest


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Pair:
    b: int
    a: tuple[int, ...]


def test_keys_are_sorted_and_nothing_is_spaced():
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == b'{"a":[true,null,"\\u00e9"],"b":1}'


def test_a_dataclass_is_written_by_its_fields():
    assert canonical_json(Pair(b=2, a=(1, 2))) == b'{"a":[1,2],"b":2}'


def test_the_digest_is_the_sha256_of_the_canonical_json():
    # printf '{"a":1}' | sha256sum
    assert digest_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_the_order_of_a_mapping_or_a_set_does_not_matter():
    assert digest_of({"a": 1, "b": {"x", "y", "z"}}) == digest_of({"b": frozenset("zyx"), "a": 1})


def test_a_float_that_is_no_number_has_a_name():
    assert plain([float("nan"), float("inf"), float("-inf")]) == ["NaN", "Infinity", "-Infinity"]


def test_dates_enums_numbers_of_numpy_and_functions_have_one_spelling():
    found = plain(
        [date(2026, 11, 21), datetime(2026, 1, 2, tzinfo=UTC), Colour.RED, np.int64(3), np.float32(0.5), plain]
    )
    assert found == ["2026-11-21", "2026-01-02T00:00:00+00:00", "red", 3, 0.5, "tasks.core.digests.plain"]


def test_a_mapping_proxy_is_a_mapping():
    assert plain(MappingProxyType({"a": Blob("d", 1)})) == {"a": {"digest": "d", "size": 1}}


def test_a_strange_type_is_refused_by_its_name():
    with pytest.raises(BadRequest, match=r"builtins\.object has no canonical JSON"):
        canonical_json({"a": object()})


def test_keys_that_become_the_same_text_are_refused():
    with pytest.raises(BadRequest, match="2 keys but only 1 as text"):
        canonical_json({1: "a", "1": "b"})


def test_different_values_have_different_digests():
    assert len({digest_of(each) for each in (1, 1.5, "1", [1], {"1": 1}, None, True, Finding("a", "b"))}) == 8


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_plain_values_stay_plain(value):
    assert canonical_json(plain(value)) == canonical_json(value)
