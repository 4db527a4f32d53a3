import pytest

from tasks.core.anchors import parsed, spelt
from tasks.core.ledger_chain import Anchor
from tasks.errors import BadRequest

OLD, NEW = Anchor(3, "a" * 64), Anchor(12, "b" * 64)


def test_what_is_noted_is_read_back():
    assert spelt("shops", NEW) == f"shops:12:{'b' * 64}"
    assert parsed([spelt("shops", NEW)], None) == {"shops": NEW}


def test_a_line_without_a_workload_is_for_the_one_that_was_asked_for():
    assert parsed([f"12:{'b' * 64}\n", ""], "shops") == {"shops": NEW}
    with pytest.raises(BadRequest, match="names no workload"):
        parsed([f"12:{'b' * 64}"], None)


def test_of_several_the_newest_stands():
    assert parsed([spelt("shops", NEW), spelt("shops", OLD), spelt("_line", OLD)], None) == {"shops": NEW, "_line": OLD}


@pytest.mark.parametrize(
    "line", ["12", "shops:0:" + "a" * 64, "shops:12:abc", "shops:-1:" + "a" * 64, "shops 12 " + "a" * 64]
)
def test_what_is_no_anchor_is_refused(line):
    with pytest.raises(BadRequest, match="is no anchor"):
        parsed([line], "shops")


def test_nothing_noted_is_refused():
    with pytest.raises(BadRequest, match="no anchor was given"):
        parsed(["", " "], "shops")
