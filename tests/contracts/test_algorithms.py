"""What a declaration may name is what there is: the names checked at import and the learners' table are one list."""

from importlib import import_module

from tasks.core import estimators
from tasks.workloads import checks


def test_the_learners_table_has_exactly_the_names_a_candidate_may_have():
    assert tuple(estimators.ALGORITHMS) == checks.ALGORITHMS


def test_every_algorithm_has_a_fit_in_its_module():
    for name, algorithm in estimators.ALGORITHMS.items():
        assert name in import_module(f"tasks.core.learners.{algorithm.module}").FITS
