"""Runs graphs in onnxruntime, on one core."""

import ctypes
import os
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Datatype, to_numpy
from models.errors import GraphError
from models.manifest import TensorSpec
from models.parity import Arrays, Run

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded: 1.29 and later report home
import onnxruntime as ort

_DATATYPES: dict[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

_BFLOAT16 = 16
"""The number of this type in ONNX. onnxruntime takes it only in values of its own, and numpy has it from elsewhere."""


def load(graph: bytes, *, optimize: bool) -> Run:
    """The graph as a function: this room's `models.parity.Load`.

    Raises:
        GraphError: onnxruntime cannot load the graph, or, when called, cannot run it.
    """
    session = _session(graph, optimize=optimize)
    names = [output.name for output in session.get_outputs()]
    bound = any(tensor.type == "tensor(bfloat16)" for tensor in (*session.get_inputs(), *session.get_outputs()))

    def run(inputs: Arrays) -> Arrays:
        try:
            if bound:
                values = {name: _to_value(array) for name, array in inputs.items()}
                return dict(zip(names, map(_to_array, session.run_with_ort_values(names, values)), strict=True))
            return dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:
            rows = len(next(iter(inputs.values())))
            raise GraphError(f"onnxruntime cannot run the graph on {rows} rows: {error}") from error

    return run


def specs(graph: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a graph, with -1 for free axes.

    Raises:
        GraphError: onnxruntime cannot load it, a tensor is of a type that is not served, or its first axis is not free.
    """
    session = _session(graph, optimize=False)
    return tuple(map(_spec, session.get_inputs())), tuple(map(_spec, session.get_outputs()))


def _session(graph: bytes, *, optimize: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised as well
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes are private, and their base is Exception itself
        raise GraphError(f"onnxruntime cannot load the graph: {error}") from error


def _to_value(array: NDArray[np.generic]) -> ort.OrtValue:
    if array.dtype.kind == "V":  # bfloat16
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), _BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(array)


def _to_array(value: ort.OrtValue) -> NDArray[np.generic]:
    if value.element_type() != _BFLOAT16:
        array: NDArray[np.generic] = value.numpy()
        return array
    shape = value.shape()
    return np.frombuffer(ctypes.string_at(value.data_ptr(), 2 * prod(shape)), to_numpy("BF16")).reshape(shape)


def _spec(tensor: ort.NodeArg) -> TensorSpec:
    if tensor.type not in _DATATYPES:
        raise GraphError(f"'{tensor.name}' is a {tensor.type}, which is not served")
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    if not shape or shape[0] != -1:
        raise GraphError(
            f"'{tensor.name}' of shape {shape} has no batch axis: its first axis must be of free size. "
            "Export the network with a dynamic batch size"
        )
    return TensorSpec(name=tensor.name, datatype=_DATATYPES[tensor.type], shape=tuple(shape))
