"""A graph -> the same graph, computing in half precision, by onnxruntime's own converter.

Inputs and outputs stay as they are. The converter extends `sys.path`, so this module is imported by a process of its
own (`service.catalog.half_process`).
"""

from google.protobuf.message import EncodeError
from onnxruntime.transformers.float16 import convert_float_to_float16

from models.errors import GraphError
from models.graph.load import parse, serialize
from models.stored_graph import SerializedGraph


def to_float16(graph: SerializedGraph) -> bytes:
    """The serialized graph in half precision. Nodes that take only float32 keep it, between casts.

    Raises:
        GraphError: the converter cannot convert it, or it has more than 2 GiB.
    """
    model = parse(graph)
    try:
        return serialize(convert_float_to_float16(model, keep_io_types=True))
    except EncodeError as error:
        raise GraphError("a graph of more than 2 GiB is not converted") from error
    except Exception as error:  # it has no errors of its own
        raise GraphError(f"onnxruntime cannot convert the graph to half precision: {error}") from error
