"""The ways a fitted network can be run on a processor: as fitted, with eight-bit layers, as an ONNX graph, as both.

An ONNX file is data: the runtime computes what it describes, in one thread, and finds nothing outside of it. Exporting
is ``onnx_export``; which variant serves is measured and chosen elsewhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from tasks.core.learners.network import FP32, Answers, Network, Variant, tensors
from tasks.errors import NotTrusted

if TYPE_CHECKING:
    import onnxruntime

INT8, ONNX, ONNX_INT8 = "int8", "onnx", "onnx-int8"
# From the simplest on.
VARIANTS = (FP32, ONNX, INT8, ONNX_INT8)
WITH_FILE = (ONNX, ONNX_INT8)
# The operators of the standard, and those the runtime quantizes with.
DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
EIGHT_BITS = 127
NO_NUMBER = 1e-12


def opened(name: str, network: Network, *contents: bytes) -> Variant:
    """Return *network* ready to run as the variant *name*; NotTrusted for one unknown or files that are not its.

    *contents* are the files of its parts, in their order, where the variant has any.
    """
    wanted = len(network.parts) if name in WITH_FILE else 0
    if name not in VARIANTS or len(contents) != wanted:
        raise NotTrusted(
            f"no variant {name!r} of {len(network.parts)} networks with {len(contents)} files is known; publish again"
        )
    return _OPENED[name](network, contents)


def _as_fitted(network: Network, contents: tuple[bytes, ...]) -> Variant:
    return Variant(FP32, network.answer, lambda: network.size)


def _eight_bits(network: Network, contents: tuple[bytes, ...]) -> Variant:
    """Make the weights of linear layers eight-bit numbers, row by row, and their inputs as they come."""
    layers = _Layers({id(each) for each in network.weights.values()})

    def answer(asked: Any) -> torch.Tensor:
        with layers:
            return network.answer(asked)

    return Variant(INT8, answer, lambda: network.size - layers.saved)


def _packed(weight: torch.Tensor) -> Any:
    scale = (weight.abs().amax(dim=1) / EIGHT_BITS).clamp(min=NO_NUMBER)
    nought = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        # torch 2.13 means to replace quantized tensors by torchao, a package of its own; the kernels stay.
        warnings.simplefilter("ignore")
        eight = torch.quantize_per_channel(weight.contiguous(), scale, nought, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(eight, None)


class _Layers(TorchFunctionMode):
    """Stands in for ``linear`` wherever it is called with one of the *weights*, packed when it is first met."""

    def __init__(self, weights: AbstractSet[int]) -> None:
        super().__init__()
        self.weights, self.saved = weights, 0
        self.packed: dict[int, Any] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is not torch.nn.functional.linear or id(args[1]) not in self.weights:
            return function(*args, **kwargs)
        given, weight, bias = (*args, kwargs.get("bias"))[:3]
        if id(weight) not in self.packed:
            self.packed[id(weight)] = _packed(weight)
            self.saved += weight.numel() * (weight.element_size() - 1)
        said = torch.ops.quantized.linear_dynamic(given, self.packed[id(weight)])
        return said if bias is None else said + bias


def _by_runtime(name: str) -> Callable[[Network, tuple[bytes, ...]], Variant]:
    def make(network: Network, contents: tuple[bytes, ...]) -> Variant:
        answers = [_running(*each) for each in zip(network.parts, contents, strict=True)]
        return Variant(name, network.joined(answers), lambda: sum(map(len, contents)), contents)

    return make


def _running(network: Network, content: bytes) -> Answers:
    session = _session(network, content)
    wanted = {each.name for each in session.get_inputs()}

    def answer(asked: Any) -> torch.Tensor:
        given = {name: each.numpy() for name, each in tensors(asked).items() if name in wanted}
        return torch.from_numpy(session.run(None, given)[0])

    return answer


def _session(network: Network, content: bytes) -> onnxruntime.InferenceSession:
    """Open the file where it asks no more than the network is asked; one thread, and nothing told to anybody."""
    import onnxruntime

    _refuse_what_lies_elsewhere(content)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no base
        raise NotTrusted(f"network.onnx cannot be opened ({str(error)[:200]}); publish the bundle again") from error
    found, wanted = {each.name for each in session.get_inputs()}, {each.name for each in fields(network.question)}
    if not found or not found <= wanted or len(session.get_outputs()) != 1:
        raise NotTrusted(
            f"network.onnx asks for {sorted(found)} and gives {len(session.get_outputs())} answers, wanted are some of "
            f"{sorted(wanted)} and one; "
            "it was not loaded"
        )
    return session


def _refuse_what_lies_elsewhere(content: bytes) -> None:
    """Raise NotTrusted for a graph with numbers outside of its file, or operators that a library would bring."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise NotTrusted("network.onnx cannot be read as ONNX; publish the bundle again") from error
    elsewhere = [each.name for each in _parts(model, "TensorProto") if each.external_data or each.data_location]
    strange = sorted({each.domain for each in _parts(model, "NodeProto")} - DOMAINS)
    if elsewhere or strange:
        raise NotTrusted(
            f"network.onnx keeps {len(elsewhere)} tensors in other files and asks for operators of "
            f"{strange or 'nobody'}; it was not loaded"
        )


def _parts(message: Any, kind: str) -> Iterator[Any]:
    """Yield every part of a graph of one *kind*, however deep it lies."""
    if message.DESCRIPTOR.name == kind:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                yield from _parts(each, kind)


_OPENED: Mapping[str, Callable[[Network, tuple[bytes, ...]], Variant]] = {
    FP32: _as_fitted,
    INT8: _eight_bits,
    ONNX: _by_runtime(ONNX),
    ONNX_INT8: _by_runtime(ONNX_INT8),
}
