"""A fitted network as an ONNX graph, with as many rows as one likes; the same weights give the same bytes.

Opening such a file is ``variants``. Exporting costs about six CPU seconds, most of them imports: it is done once, when
a bundle is made.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tasks.core.learners.network import Network, tensors
from tasks.errors import TrainingBroke

# As many as are asked. The example has two: of one, the exporter would take its number for a constant.
ROWS, EXAMPLE_ROWS = "rows", 2
ANSWER = "answer"
NOISY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class _Module(torch.nn.Module):
    """The network as the exporter wants it: weights as buffers, what is asked as arguments in order."""

    def __init__(self, network: Network, names: tuple[str, ...]) -> None:
        super().__init__()
        self.pure, self.names = network, names
        self.held = {name: f"weight_{place}" for place, name in enumerate(network.weights)}
        for name, held in self.held.items():
            self.register_buffer(held, network.weights[name])

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        weights = {name: getattr(self, held) for name, held in self.held.items()}
        asked = self.pure.question(**dict(zip(self.names, given, strict=True)))
        return self.pure.forward(weights, asked)


def exported(network: Network, asked: Any) -> bytes:
    """Return *network* as ONNX, with *asked* for an example; raises TrainingBroke where it cannot be exported."""
    import onnx

    example = tensors(asked.of(torch.arange(EXAMPLE_ROWS)))
    rows = torch.export.Dim(ROWS, min=1)
    with _quietly():
        try:
            program = torch.onnx.export(
                _Module(network, tuple(example)).eval(),
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes={"given": tuple({0: rows} for _ in example)},
                input_names=list(example),
                output_names=[ANSWER],
                verbose=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
            raise TrainingBroke(f"the network cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    assert program is not None
    model = onnx.ModelProto.FromString(program.model_proto.SerializeToString())
    _forget_where(model.graph)
    return bytes(model.SerializeToString(deterministic=True))


def _forget_where(graph: Any) -> None:
    """Drop what the exporter notes of this machine's folders, and shapes that quantizing would break."""
    del graph.value_info[:]
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _forget_where(attribute.g)


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter tells of packages that are not installed, and calls what is deprecated: nobody can act on either."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in loggers:
            each.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for each, level in zip(loggers, levels, strict=True):
                each.setLevel(level)
