import pytest

from tasks.core.versions import FIRST, Makeup, ModelVersion, following, parsed, step
from tasks.errors import BadRequest

TREES = Makeup({"sales": "xgboost"}, {"sales": frozenset({"visitors", "town"})})


@pytest.mark.parametrize(
    ("challenger", "better", "wanted"),
    [
        (TREES, False, "patch"),
        (TREES, True, "minor"),
        (Makeup({"sales": "catboost"}, TREES.features), True, "major"),
        (Makeup(TREES.algorithms, {"sales": frozenset({"visitors"})}), False, "major"),
        (Makeup({**TREES.algorithms, "staff": "mlp"}, {**TREES.features, "staff": frozenset()}), False, "major"),
    ],
)
def test_other_features_or_algorithms_are_major_better_is_minor_and_all_else_a_patch(challenger, better, wanted):
    assert step(challenger, TREES, better=better) == wanted


@pytest.mark.parametrize(("far", "wanted"), [("major", "2.0.0"), ("minor", "1.10.0"), ("patch", "1.9.4")])
def test_the_next_number_is_a_step_from_the_highest_ever_given(far, wanted):
    taken = [ModelVersion(1, 9, 3), ModelVersion(1, 2, 7), FIRST]
    assert str(following(taken, far)) == wanted


def test_the_first_number_is_one():
    assert following([], "patch") == FIRST


def test_a_number_is_read_back():
    assert parsed("1.10.2") == ModelVersion(1, 10, 2)
    assert parsed("1.10.2") > parsed("1.9.9")


@pytest.mark.parametrize("text", ["", "1.2", "v1.2.3", "1.2.3.4", "1.2.x", "1.2.²", "1..2"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(BadRequest, match="wanted is major"):
        parsed(text)
