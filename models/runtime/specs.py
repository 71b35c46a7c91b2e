"""What a graph takes and gives, as onnxruntime sees it."""

from collections.abc import Collection

import onnxruntime

from models.datatypes import Datatype
from models.errors import GraphError
from models.manifest import TensorSpec
from models.runtime.session import open_session
from models.stored_graph import SerializedGraph

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


def specs(graph: SerializedGraph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a serialized graph, with -1 for free axes.

    Raises:
        GraphError: onnxruntime cannot load it, or a tensor is of a type that is not served.
    """
    session = open_session(graph, optimize=False)
    inputs = session.get_inputs()
    firsts = {tensor.shape[0] for tensor in inputs if tensor.shape and isinstance(tensor.shape[0], str)}
    return tuple(_spec(tensor, firsts) for tensor in inputs), tuple(map(_spec, session.get_outputs()))


def _spec(tensor: onnxruntime.NodeArg, firsts: Collection[str] = ()) -> TensorSpec:
    if tensor.type not in _DATATYPES:
        raise GraphError(f"'{tensor.name}' is a {tensor.type}, which is not served")
    shape = tuple(size if isinstance(size, int) else -1 for size in tensor.shape)
    batch_axes = tuple(axis for axis, size in enumerate(tensor.shape) if axis and size in firsts)
    return TensorSpec(name=tensor.name, datatype=_DATATYPES[tensor.type], shape=shape, batch_axes=batch_axes or None)
