from __future__ import annotations

import numpy as np
import pytest
import xgboost

from tasks.core.learners import ubj


@pytest.fixture(scope="module")
def model() -> bytes:
    x = np.random.default_rng(1).normal(size=(200, 3))
    train = xgboost.DMatrix(x, x[:, 0] + x[:, 1] ** 2, feature_names=["ä", "b", "c"], nthread=1)
    return bytes(xgboost.train({"max_depth": 3, "nthread": 1}, train, 5).save_raw("ubj"))


def test_what_xgboost_writes_is_whole(model):
    ubj.check(model)


def test_a_document_cut_anywhere_is_refused(model):
    for end in range(len(model)):
        with pytest.raises(ValueError, match=f"its {end} bytes (end in the middle|are no UBJSON object)"):
            ubj.check(model[:end])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}{", "its 3 bytes are no UBJSON object"),
        (b"[]", "its 2 bytes are no UBJSON object"),
        (b"{i\x01aX}", "b'X' is no kind of value"),
        (b"{Zi\x01}", "byte 1 is no length"),
        (b"{L\xff\xff\xff\xff\xff\xff\xff\xffa", "end in the middle"),
        (b"{i\x01a" * 100_000, "end in the middle"),
        (b"{" + b"i\x01a[" * 1 + b"[" * 100_000, "end in the middle"),
        (b"{i\x01a[$U#L\x7f\xff\xff\xff\xff\xff\xff\xff}", "end in the middle"),
        (b"{i\x01a[#L\x7f\xff\xff\xff\xff\xff\xff\xffZ", "end in the middle"),
    ],
)
def test_what_is_no_document_is_told(data, why):
    with pytest.raises(ValueError, match=why):
        ubj.check(data)


@pytest.mark.parametrize("inner", [b"Z", b"SU\x02hi", b"[$d#i\x02" + bytes(8), b"[#i\x02TF", b"[i\x05i\x06]", b"{}"])
def test_every_kind_of_value_is_walked_over(inner):
    ubj.check(b"{i\x03key" + inner + b"}")
