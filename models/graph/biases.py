"""Biases whose shape is wrong: onnxruntime would refuse them, but only when it runs the node.

torch's newer exporter (onnxscript 0.7) gives zeros of shape (M, 2) to a 3-D convolution that has no bias. Zeros can be
left out.
"""

from collections.abc import Iterable, Iterator

import onnx

from models.errors import GraphError
from models.graph.editor import GraphEditor
from models.graph.folding.step import has_input
from models.graph.nodes import integer, is_standard, label
from models.stored_graph import NO_WEIGHTS, Weights


def repair_biases(source: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> onnx.ModelProto:
    """The graph without zeros of a wrong shape; `source` itself where it has none.

    Raises:
        GraphError: another bias has a shape with which no runtime can run the graph.
    """
    stored = {tensor.name: tuple(tensor.dims) for tensor in source.graph.initializer}
    if all(_fits(node, stored.get(node.input[1]), stored.get(node.input[2])) for node in _with_bias(source.graph.node)):
        return source
    editor = GraphEditor(source, weights)
    malformed = []
    for node in _with_bias(editor.nodes):
        kernel, bias = (editor.constant(name) for name in node.input[1:3])
        if kernel is None or bias is None or _fits(node, kernel.shape, bias.shape):
            continue
        if node.op_type == "Gemm" or bias.ndim == 1 or bias.any():
            raise GraphError(
                f"{label(node)} has a bias of shape {bias.shape}, and its weights of shape {kernel.shape} need "
                f"({_outputs(node, kernel.shape)},): write the file again with a bias of that shape"
            )
        malformed.append(node)
    for node in malformed:
        editor.set_input(node, 2, "")
    return editor.finish() if malformed else source


def _with_bias(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The linear nodes that have a bias."""
    return (node for node in nodes if is_standard(node, "Conv", "ConvTranspose", "Gemm") and has_input(node, 2))


def _fits(node: onnx.NodeProto, kernel: tuple[int, ...] | None, bias: tuple[int, ...] | None) -> bool:
    """Whether the shapes are known and go together. The bias of a Gemm is broadcast."""
    if kernel is None or bias is None or len(kernel) < 2:
        return False
    size = _outputs(node, kernel)
    return len(bias) <= 2 and bias[-1:] in ((), (1,), (size,)) if node.op_type == "Gemm" else bias == (size,)


def _outputs(node: onnx.NodeProto, kernel: tuple[int, ...]) -> int:
    """How many channels or features the node computes."""
    if node.op_type == "Gemm":
        return kernel[0 if integer(node, "transB", 0) else 1]
    return kernel[0] if node.op_type == "Conv" else kernel[1] * integer(node, "group", 1)
