"""The ways to run a network: which one serves, that each says what was fitted, and which files are not opened."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
import polars as pl
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tasks.core import variants
from tasks.core.learners.lesson import Layout
from tasks.core.learners.network import Network, in_pieces
from tasks.core.learners.onnx_export import exported
from tasks.core.learners.text_net import Sizes, begun
from tasks.core.learners.transformer import Reader
from tasks.core.learners.variants import opened
from tasks.core.model_files import DESCRIPTION, from_files, to_files
from tasks.core.models import Model, calibrate, learn
from tasks.core.page.sheet import Ran
from tasks.core.page.variants import ways
from tasks.core.values import VariantScore
from tasks.core.variants import Speed, Trial, choose, score
from tasks.errors import NotTrusted
from tasks.workloads.spec import Feature
from tests.builders import quick, shops, shops_spec


def trial(name: str, milliseconds: float, error: float = 100.0) -> Trial:
    """Return a variant whose answers take so long, alone and in a batch, against fitted weights' error of 100."""
    rate = 1_000 / milliseconds
    return Trial(score(name, 10, error, 0.01, 100.0), Speed(milliseconds, milliseconds, rate, rate))


def chosen(*trials: Trial) -> str:
    return next(each.name for each in choose(trials) if each.chosen)


def test_the_fastest_variant_within_the_budget_serves():
    assert chosen(trial("fp32", 10), trial("onnx", 5), trial("int8", 8), trial("onnx-int8", 3)) == "onnx-int8"


def test_one_beyond_the_budget_never_serves_however_fast_and_says_by_how_much():
    scores = choose([trial("fp32", 10), trial("onnx-int8", 1, error=100.6)])
    assert [each.chosen for each in scores] == [True, False]
    assert scores[1].reason == "its error of 100.6 is beyond 100.5, 0.5% more than that of the fitted weights"
    assert not score("int8", 10, 99.0, 0.2, 100.0).within and not score("int8", 10, float("nan"), 0.0, 100.0).within


def test_a_simpler_variant_serves_unless_another_is_clearly_faster():
    assert chosen(trial("fp32", 10), trial("onnx", 9.1)) == "fp32"
    assert chosen(trial("fp32", 10), trial("onnx", 5), trial("int8", 4.6)) == "onnx"


def test_what_is_gained_for_a_row_alone_and_lost_for_a_batch_is_no_gain():
    half = replace(trial("onnx", 10), speed=Speed(5, 5, 1.0, 50.0))
    assert variants.cost(half, trial("fp32", 10)) == pytest.approx(1.0)


def test_a_variant_that_could_not_be_made_is_told_and_does_not_serve():
    broken = Trial(VariantScore("onnx", reason="it cannot be exported"))
    table = ways([Ran("likes", each, None) for each in choose([trial("fp32", 10), broken])])
    assert table.rows[1][:4] == ("onnx", "likes", "", "–") and table.rows[1][-1] == "no: it cannot be exported"


def test_times_are_medians_after_a_warm_up_by_the_clock_that_is_handed_in():
    told, asked = iter(np.arange(100_000) * 0.004), []
    speed = variants.time(asked.append, lambda rows: None, lambda: float(next(told)))
    assert speed.p50_ms == pytest.approx(4.0) and speed.p95_ms == pytest.approx(4.0)
    assert speed.large_rows_per_second == pytest.approx(variants.LARGE_BATCH / 0.004)
    assert asked[: variants.WARM_UPS + 1] == [0, 1, 2, 0]
    assert len(asked) == variants.WARM_UPS + round(variants.SECONDS_MOST / 0.004)


@dataclass(frozen=True)
class Numbers:
    x: torch.Tensor

    def of(self, rows: torch.Tensor) -> Numbers:
        return Numbers(self.x[rows])

    def on(self, device: str) -> Numbers:
        return Numbers(self.x.to(device))


WEIGHT = torch.tensor([[1.0, -2.0, 0.5]])
LINE = Network({"w": WEIGHT}, lambda weights, asked: torch.nn.functional.linear(asked.x, weights["w"])[:, 0], Numbers)
ASKED = Numbers(torch.tensor([[1.0, 1.0, 1.0], [3.0, 0.0, 2.0]]))


def graph(*, given: str = "x", domain: str = "", elsewhere: bool = False) -> bytes:
    """Return the same line as an ONNX graph."""
    held = numpy_helper.from_array(WEIGHT.numpy()[0], "w")
    if elsewhere:
        held.ClearField("raw_data")
        held.data_location = TensorProto.EXTERNAL
        held.external_data.add(key="location", value="/etc/passwd")
    made = helper.make_graph(
        [helper.make_node("MatMul", [given, "w"], ["said"], domain=domain)],
        "line",
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("said", TensorProto.FLOAT, ["rows"])],
        [held],
    )
    opset = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(made, opset_imports=opset, ir_version=10).SerializeToString())


def test_a_graph_says_what_the_fitted_weights_say():
    ready = opened("onnx", LINE, graph())
    assert in_pieces(ready.answer, ASKED).tolist() == LINE.answer(ASKED).tolist() == [-0.5, 4.0]
    assert ready.sized() == len(graph())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("onnx", b"no graph at all", "cannot be"),
        ("onnx", graph()[:-40], "cannot be"),
        ("onnx", graph(elsewhere=True), "keeps 1 tensors in other files"),
        ("onnx", graph(domain="somebody.else"), "somebody.else"),
        ("onnx", graph(given="y"), r"asks for \['y'\]"),
        ("onnx", b"", "is known"),
        ("fp32", graph(), "is known"),
        ("fp16", b"", "no variant 'fp16'"),
    ],
)
def test_a_file_that_is_not_this_networks_is_not_opened(name, content, said):
    with pytest.raises(NotTrusted, match=said):
        opened(name, LINE, *([content] if content else []))


def test_eight_bit_layers_say_nearly_the_same_in_a_quarter_of_the_room():
    ready = opened("int8", LINE)
    said = in_pieces(ready.answer, ASKED)
    assert said.tolist() == pytest.approx([-0.5, 4.0], abs=0.05)
    assert (ready.sized(), LINE.size) == (3, 12)


def lstm_model() -> Model:
    chance = np.random.default_rng(0)
    past = pl.Series(chance.normal(size=(240, 6)).tolist(), dtype=pl.List(pl.Float64))
    rows = shops(400)[:240].with_columns(past=past)
    spec = shops_spec(features=(*shops_spec().features, Feature("past", "series", "planted", width=2)))
    learned = learn(spec, rows, spec.targets[0], quick("lstm"), unit=100.0)
    calibration = calibrate(learned.link(rows), learned.scale.link(rows["sales"].to_numpy()), log=True)
    return Model("sales", "US$", learned, (), calibration, calibration)


def test_a_bundles_model_keeps_its_fitted_weights_beside_the_variant_that_serves():
    model = lstm_model()
    chain = model.learned.estimator
    fitted = to_files(model)
    served = replace(model, learned=replace(model.learned, estimator=chain.run_as(opened("int8", chain.network))))
    files = to_files(served)
    assert set(files) == set(fitted) and files["estimator.safetensors"] == fitted["estimator.safetensors"]
    x = np.random.default_rng(1).normal(size=(30, 1 + sum(_wide(chain))))
    again = from_files(files).learned.estimator
    assert again.variant.name == "int8" and again.predict(x).tolist() == served.learned.estimator.predict(x).tolist()
    assert again.predict(x).tolist() != chain.predict(x).tolist()
    with pytest.raises(NotTrusted, match=r"network\.onnx"):
        from_files(files | {DESCRIPTION: files[DESCRIPTION].replace(b'"int8"', b'"onnx"')})


def _wide(chain) -> tuple[int, int, int]:
    layout = chain.layout
    return layout.tree, layout.dense, layout.steps * layout.width


def test_the_hand_made_graph_is_a_sound_one():
    onnx.checker.check_model(onnx.ModelProto.FromString(graph()))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 0])
def test_a_transformer_over_text_and_series_says_the_same_as_a_graph_of_any_number_of_rows(steps):
    layout, sizes = Layout(tree=0, dense=2, steps=steps, width=2, length=6, pieces=20), Sizes(8, 1, 4)
    chance = np.random.default_rng(2)
    reader = Reader(layout, sizes, begun(layout, sizes, torch.Generator().manual_seed(1)))
    x = np.column_stack([chance.normal(size=(300, 2 + 2 * steps)), chance.integers(0, 20, size=(300, 6))])
    content = exported(reader.network, reader.asked(x))
    assert b"text_net" not in content
    for rows in (x, x[:1]):
        by_graph = reader.run_as(opened("onnx", reader.network, content)).predict(rows)
        assert by_graph == pytest.approx(reader.predict(rows), abs=1e-5)
        in_eight_bits = reader.run_as(opened("int8", reader.network)).predict(rows)
        assert in_eight_bits == pytest.approx(reader.predict(rows), abs=0.1)
