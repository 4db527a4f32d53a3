"""A model becomes files and comes back the same, and nothing that is not a model of ours comes back at all."""

from __future__ import annotations

import functools
import json

import pytest
import skops.io

from tasks.core.estimators import ALGORITHMS
from tasks.core.evaluation import golden
from tasks.core.golden import largest_difference
from tasks.core.model_files import DESCRIPTION, from_files, to_files
from tasks.core.models import Model, calibrate, learn
from tasks.errors import NotTrusted
from tests.builders import quick, shops, shops_spec

SPEC = shops_spec()


@functools.cache
def model_of(algorithm: str) -> Model:
    rows, target = shops(120), SPEC.targets[0]
    learned = learn(SPEC, rows, target, quick(algorithm), unit=100.0)
    calibration = calibrate(learned.link(rows), learned.scale.link(rows["sales"].to_numpy()), log=True)
    return Model("sales", "US$", learned, ("visitors",), calibration, calibration)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_model_that_went_through_files_says_the_same_bit_for_bit(algorithm):
    model = model_of(algorithm)
    again = from_files(to_files(model))
    assert again.score(shops(80, seed=5)).equals(model.score(shops(80, seed=5)))
    assert (again.target, again.unit, again.optional) == ("sales", "US$", ("visitors",))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_files_are_a_description_and_one_estimator_and_no_pickle(algorithm):
    files = to_files(model_of(algorithm))
    assert set(files) == {DESCRIPTION, ALGORITHMS[algorithm].file}
    assert not any(content.startswith(b"\x80\x04") or b"cpickle" in content for content in files.values())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_truncated_estimator_is_refused(algorithm):
    files = to_files(model_of(algorithm))
    name = ALGORITHMS[algorithm].file
    with pytest.raises(NotTrusted, match="publish the bundle again"):
        from_files(files | {name: files[name][: len(files[name]) // 3]})


def test_a_type_that_is_not_on_the_list_is_refused_and_not_loaded():
    files = to_files(model_of("elastic_net"))
    with pytest.raises(
        NotTrusted, match=r"asks for builtins\.print, functools\.partial, which is not on the reviewed list"
    ):
        from_files(files | {"estimator.skops": skops.io.dumps(functools.partial(print, "owned"))})


def test_a_trusted_type_that_is_no_regressor_is_refused():
    files = to_files(model_of("elastic_net"))
    with pytest.raises(NotTrusted, match="asks for dict"):
        from_files(files | {"estimator.skops": skops.io.dumps({"a": 1})})


def test_an_unknown_extra_file_is_refused():
    with pytest.raises(NotTrusted, match=r"'setup\.py'.*was not loaded"):
        from_files(to_files(model_of("xgboost")) | {"setup.py": b"import os"})


def test_a_missing_estimator_is_refused():
    files = to_files(model_of("xgboost"))
    with pytest.raises(NotTrusted, match=r"estimator\.ubj"):
        from_files({DESCRIPTION: files[DESCRIPTION]})


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b'{"format": 1}', b'{"format": 1, "algorithm": "xgboost"}']
)
def test_a_description_that_is_none_is_refused(content):
    with pytest.raises(NotTrusted, match=r"model\.json"):
        from_files(to_files(model_of("xgboost")) | {DESCRIPTION: content})


def test_a_format_of_another_version_is_refused_with_both_numbers():
    files = to_files(model_of("xgboost"))
    plain = json.loads(files[DESCRIPTION]) | {"format": 99}
    with pytest.raises(NotTrusted, match=r"format 99 .* this version reads format 1"):
        from_files(files | {DESCRIPTION: json.dumps(plain).encode()})


def test_an_algorithm_swapped_in_the_description_is_refused():
    files = to_files(model_of("random_forest"))
    plain = json.loads(files[DESCRIPTION]) | {"algorithm": "catboost"}
    with pytest.raises(NotTrusted):
        from_files(files | {DESCRIPTION: json.dumps(plain).encode()})


def test_a_model_passes_its_own_golden_sample_after_json_and_files():
    model = model_of("catboost")
    sample = json.loads(json.dumps(golden(shops(100), model)))
    assert len(sample["inputs"]) == len(sample["outputs"]) == 20
    assert [row["visitors"] is None for row in sample["inputs"][:4]] == [False, False, False, True]
    assert largest_difference(sample, from_files(to_files(model))) == 0.0
    assert golden(shops(100), model) == golden(shops(100), model)


def test_a_golden_sample_of_fewer_rows_than_asked_for_is_all_of_them():
    assert len(golden(shops(7), model_of("xgboost"))["inputs"]) == 7
