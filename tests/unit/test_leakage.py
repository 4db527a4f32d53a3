"""The leakage guard stops what gives a target away, and lets what merely predicts it pass."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.leakage import find_leaks, refuse
from tasks.errors import DataRejected
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import Feature, Target, Workload
from tests.builders import shops, shops_spec

REAL = Path(os.environ.get("GREENLIGHT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL_FILE = REAL / "channels" / "Global YouTube Statistics.csv"


def spec_with(name: str, kind: str = "float", **changes: object) -> Workload:
    plain = shops_spec()
    return replace(plain, features=(*plain.features, Feature(name, kind, "planted")), **changes)  # type: ignore[arg-type]


def kinds(spec: Workload, rows: pl.DataFrame) -> list[tuple[str, str, str]]:
    return [(leak.target, leak.feature, leak.kind) for leak in find_leaks(spec, rows)]


def test_honest_features_pass():
    assert find_leaks(shops_spec(), shops(600)) == ()
    refuse((), shops_spec())


def test_a_fixed_multiple_is_found_although_some_rows_break_it():
    chance = np.random.default_rng(0)
    broken = chance.random(600) < 0.2
    rows = shops(600).with_columns(
        twin=pl.when(pl.Series(broken)).then(pl.Series(chance.lognormal(8, 2, 600))).otherwise(pl.col("sales") / 0.048)
    )
    assert kinds(spec_with("twin"), rows) == [("sales", "twin", "multiple")]
    (leak,) = find_leaks(spec_with("twin"), rows)
    assert leak.figure == pytest.approx(1 - broken.mean(), abs=0.01)


def test_a_negative_multiple_is_found():
    assert ("sales", "debt", "multiple") in kinds(spec_with("debt"), shops(600).with_columns(debt=pl.col("sales") * -3))


def test_a_monotone_copy_is_found_although_it_is_no_multiple():
    rows = shops(600).with_columns(root=pl.col("sales").sqrt() + 100)
    assert kinds(spec_with("root"), rows) == [("sales", "root", "copy")]


def test_a_copy_that_rises_and_falls_is_found():
    rows = shops(3000).with_columns(
        bent=(pl.col("sales").rank() - 1500).abs() * pl.when(pl.col("sales").rank() > 1500).then(1.0).otherwise(1.7)
    )
    rows = rows.with_columns(
        folded=pl.when(pl.col("sales").rank() > 1500).then(-pl.col("bent")).otherwise(pl.col("bent") + 5)
    )
    assert kinds(spec_with("folded"), rows) == [("sales", "folded", "copy")]


def test_an_identifier_with_a_value_per_row_is_no_leak():
    rows = shops(600).with_columns(number=pl.Series(np.random.default_rng(1).permutation(600).astype(float)))
    assert find_leaks(spec_with("number"), rows) == ()


def test_a_name_per_row_is_no_leak_but_a_category_that_determines_the_target_is():
    rows = shops(600).with_columns(code=pl.col("shop"), band=(pl.col("sales").rank() // 20).cast(pl.String))
    assert find_leaks(spec_with("code", "category"), rows) == ()
    assert kinds(spec_with("band", "category"), rows) == [("sales", "band", "determining category")]


def test_what_a_target_is_blind_to_is_not_looked_at():
    rows = shops(600).with_columns(twin=pl.col("sales") * 2)
    plain = spec_with("twin")
    spec = replace(plain, targets=(replace(plain.targets[0], blind_to=("twin",)),))
    assert find_leaks(spec, rows) == ()


def test_a_target_that_hardly_varies_is_not_called_a_multiple():
    chance = np.random.default_rng(3)
    rows = shops(600).with_columns(
        sales=pl.Series(100 + chance.random(600) * 0.5), steady=pl.Series(50 + chance.random(600) * 0.2)
    )
    assert find_leaks(spec_with("steady"), rows) == ()


def test_a_feature_that_is_always_missing_is_no_leak():
    assert find_leaks(spec_with("void"), shops(100).with_columns(void=pl.lit(None, dtype=pl.Float64))) == ()


def test_the_refusal_names_the_pair_and_both_figures():
    spec = spec_with("twin")
    with pytest.raises(
        DataRejected, match=r"sales ← twin: a fixed multiple \(±1 %\) in 100\.0% of rows, at most 50\.0%"
    ):
        refuse(find_leaks(spec, shops(600).with_columns(twin=pl.col("sales") * 2)), spec)


def forgetful(spec: Workload) -> Workload:
    """Return the channels workload whose author forgot what earnings are computed from."""
    targets = tuple(replace(each, blind_to=() if each.name == "earnings" else each.blind_to) for each in spec.targets)
    return replace(spec, targets=targets)


def test_earnings_that_are_a_formula_of_recent_views_stop_the_run_if_the_declaration_forgets_it():
    rows = channels_like(500)
    assert find_leaks(CHANNELS, rows) == ()
    spec = forgetful(CHANNELS)
    with pytest.raises(DataRejected, match="earnings ← views_last_30d"):
        refuse(find_leaks(spec, rows), spec)


@pytest.mark.skipif(not REAL_FILE.exists(), reason="the public channels file is not on this machine")
def test_the_public_file_passes_as_declared_and_stops_where_the_declaration_forgets():
    rows = real_rows()
    assert find_leaks(CHANNELS, rows) == ()
    assert [(leak.target, leak.feature) for leak in find_leaks(forgetful(CHANNELS), rows)] == [
        ("earnings", "views_last_30d")
    ]


def channels_like(count: int) -> pl.DataFrame:
    chance = np.random.default_rng(9)
    recent = chance.lognormal(15, 2, count)
    columns = {name: chance.lognormal(10, 1, count) for name in CHANNELS.feature_names}
    for name in ("category", "country", "channel_type"):
        columns[name] = np.array(["a", "b", "c"])[chance.integers(0, 3, count)]
    columns["views_last_30d"] = recent
    targets = {
        "subscribers": chance.lognormal(16, 1, count),
        "highest_yearly_earnings": np.round(0.048 * recent, -1),
        "subscribers_30d": chance.lognormal(10, 2, count),
    }
    return pl.DataFrame({"channel": [f"c{number}" for number in range(count)], **columns, **targets})


def test_where_a_change_is_learned_the_previous_label_gives_nothing_away_and_the_change_itself_does():
    chance = np.random.default_rng(3)
    rows = shops(600).with_columns(before=pl.Series(chance.lognormal(8, 2, 600)), grown=pl.Series(chance.random(600)))
    rows = rows.with_columns(sales=(pl.col("before") + 1) * (1 + pl.col("grown")) - 1)
    change = Target("sales", "sales", "sales", "US$", previous="before", as_change=True)
    both = (*shops_spec().features, Feature("before", "float", "planted"))
    spec = replace(shops_spec(), features=both, targets=(change,))
    assert find_leaks(spec, rows) == ()
    copied = replace(spec, features=(*both, Feature("grown", "float", "planted")))
    assert kinds(copied, rows) == [("sales", "grown", "copy")]
    assert kinds(replace(spec, targets=(replace(change, as_change=False),)), rows) == [("sales", "before", "copy")]


def real_rows() -> pl.DataFrame:
    names = {
        "Youtuber": "channel",
        "subscribers": "subscribers",
        "video views": "video_views",
        "uploads": "uploads",
        "video_views_for_the_last_30_days": "views_30d",
        "highest_yearly_earnings": "highest_yearly_earnings",
        "subscribers_for_last_30_days": "subscribers_30d",
        "created_year": "created_year",
        "Population": "population",
        "Unemployment rate": "unemployment_rate",
        "Urban_population": "urban_population",
        "Gross tertiary education enrollment (%)": "tertiary_enrolment",
        "category": "category",
        "Country": "country",
        "channel_type": "channel_type",
    }
    raw = pl.read_csv(REAL_FILE, encoding="latin-1", null_values=["nan", ""], infer_schema=False)
    texts = {"channel", "category", "country", "channel_type"}
    rows = raw.select(
        (pl.col(old) if new in texts else pl.col(old).cast(pl.Float64)).alias(new) for old, new in names.items()
    ).with_columns(
        pl.col("created_year").cast(pl.Int64),
        created_month=pl.lit(1),
        observed_at=pl.datetime(2023, 1, 1, time_zone="UTC"),
    )
    return CHANNELS.derive(rows.lazy()).collect()
