"""Quantizes an ONNX graph: weights and inputs of its layers become eight-bit numbers. The library works on files."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import TrainingBroke

# Without this mark the library advises, on the root logger, to do before what the exporter has done.
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")


def quantized(content: bytes, folder: Path) -> bytes:
    """Return the graph with eight-bit weights, row by row; raises TrainingBroke where the library cannot."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.ModelProto.FromString(content)
    model.metadata_props.add(key=PREPARED[0], value=PREPARED[1])
    made = folder / "quantized.onnx"
    try:
        quantize_dynamic(model, made, weight_type=QuantType.QInt8)
    except Exception as error:  # its errors share no base
        raise TrainingBroke(f"the graph cannot be quantized: {str(error).splitlines()[0]}") from error
    return made.read_bytes()
