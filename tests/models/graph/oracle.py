"""What the tests compare with: the source graph as the ONNX reference runs it in float64, sharing no code with ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from models.datatypes import Array


class ConvTranspose(OpRun):
    """By torch, symmetric padding only: the ONNX reference does not know groups here (onnx 1.23)."""

    def _run(self, x: Array, w: Array, b: Array | None = None, group: int = 1, **options: Any) -> tuple[Array]:
        assert options["auto_pad"] in (None, "NOTSET")
        assert options["output_shape"] is None
        rank = x.ndim - 2
        transposed = (
            torch.nn.functional.conv_transpose1d,
            torch.nn.functional.conv_transpose2d,
            torch.nn.functional.conv_transpose3d,
        )
        y = transposed[rank - 1](
            torch.from_numpy(x.copy()),
            torch.from_numpy(w.copy()),
            None if b is None else torch.from_numpy(b.copy()),
            stride=options["strides"] or 1,
            padding=tuple((options["pads"] or [0] * rank)[:rank]),
            output_padding=options["output_padding"] or 0,
            groups=group,
            dilation=options["dilations"] or 1,
        )
        return (y.numpy(),)


def expose(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """The model with these tensors as its outputs."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    kind = model.graph.output[0].type.tensor_type.elem_type
    del exposed.graph.output[:]
    exposed.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name in dict.fromkeys(tensors))
    return exposed


def reference(model: onnx.ModelProto, feeds: Mapping[str, Array], tensors: Sequence[str]) -> dict[str, Array]:
    """The tensors by name, computed by the ONNX reference implementation."""
    exposed = expose(model, tensors)
    return dict(
        zip(
            dict.fromkeys(tensors),
            ReferenceEvaluator(exposed, new_ops=[ConvTranspose]).run(None, dict(feeds)),
            strict=True,
        )
    )


def runtime(model: onnx.ModelProto, feeds: Mapping[str, Array], tensors: Sequence[str]) -> dict[str, Array]:
    """The tensors by name, computed by onnxruntime in float32, without any optimization of its own."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    data = expose(model, tensors).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    single = {name: value.astype(np.float32) for name, value in feeds.items()}
    return dict(zip(dict.fromkeys(tensors), session.run(None, single), strict=True))


def feeds(model: onnx.ModelProto, rows: int, seed: int = 1) -> dict[str, Array]:
    """Random rows for every input; free sizes other than the batch become 6."""
    random = np.random.default_rng(seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: random.normal(
            size=[rows, *(dim.dim_value or 6 for dim in list(value.type.tensor_type.shape.dim)[1:])]
        )
        for value in model.graph.input
        if value.name not in constants
    }


def error(expected: Array, actual: Array) -> float:
    """Largest difference over the largest expected magnitude; infinite if the shapes differ or a value is NaN."""
    if expected.shape != actual.shape or not np.isfinite(actual).all():
        return np.inf
    return float(np.abs(expected - actual).max() / np.abs(expected).max())
