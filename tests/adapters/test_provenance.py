"""Which changes of code are a change of features: those that make other features of a row, and no others."""

import importlib.util
from dataclasses import replace

import pytest

from tasks.adapters.provenance import features_digest
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import Feature
from tests.builders import shops_spec

DERIVE = '''
import polars as pl

DAYS = 30
OTHER = 1


def ratio(rows):
    return rows["a"] / DAYS


def derive(rows):
    """Turn rows into features."""
    # A reason.
    return rows.with_columns(a=pl.col("a") + 1, b=ratio(rows))
'''


@pytest.fixture
def digest_when(tmp_path):
    """Return the digest of a workload whose derive is in a module with *old* replaced by *new*."""
    count = iter(range(100))

    def digest(old="", new=""):
        path = tmp_path / f"module_{next(count)}.py"
        assert old in DERIVE
        path.write_text(DERIVE.replace(old, new))
        # Of one name, as two versions of one module are; below our own package, as a workload is.
        spec = importlib.util.spec_from_file_location("tasks.workloads.invented", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return features_digest(shops_spec(derive=module.derive))

    return digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# A reason.", "# Another reason, in\n    # two lines."),
        ("Turn rows into features.", "Make features."),
        ("OTHER = 1", "OTHER = 2"),
        ('pl.col("a") + 1', '(\n        pl.col("a")\n        + 1\n    )'),
    ],
)
def test_what_makes_the_same_features_is_the_same_definition(digest_when, old, new):
    assert digest_when(old, new) == digest_when()


@pytest.mark.parametrize(
    ("old", "new"), [('pl.col("a") + 1', 'pl.col("a") + 2'), ("DAYS = 30", "DAYS = 31"), ('rows["a"] /', 'rows["b"] /')]
)
def test_another_formula_constant_or_function_of_ours_is_another_definition(digest_when, old, new):
    assert digest_when(old, new) != digest_when()


def test_another_feature_or_type_is_another_definition():
    plain = features_digest(CHANNELS)
    assert features_digest(replace(CHANNELS, title="Channels")) == plain
    assert features_digest(shops_spec()) == features_digest(shops_spec())
    retyped = (Feature("visitors", "float", ""), Feature("area", "category", ""), Feature("town", "category", ""))
    assert features_digest(shops_spec(features=retyped)) != features_digest(shops_spec())
