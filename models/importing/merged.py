"""Finds normalisation layers that an exporter has merged or decomposed: their statistics are no longer in the file.

A graph says so more or less clearly, by what its exporter leaves behind:

- torch, ``dynamo=True``: a node's metadata has the fusion, and the module that it came from;
- torch, ``dynamo=False``: weight *and* bias of a convolution have names that the exporter invented (``onnx::Conv_43``):
  only its fusion does this to both;
- TensorFlow and Keras, by tf2onnx: ``batchnorm``, ``FusedBatchNorm`` or ``fused_bn`` in names of nodes and constants;
- otherwise: a run of Sub, Mul and Add with constants per channel *may* be a layer.

What leaves no such trace cannot be told from a network that never had the layer.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import onnx

from models.graph.editor import GraphEditor
from models.graph.nodes import is_standard, label
from models.importing.exporters import is_keras
from models.stored_graph import NO_WEIGHTS, Weights

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_INVENTED = re.compile(r"onnx::Conv\w*_\d+")
_TF2ONNX_BIAS = re.compile(r"(.*)_bias_fused_bn(:\d+)?")
_KERAS_SCOPE = re.compile(r"([^:]*?)/(?:batchnorm|FusedBatchNorm\w*)\b")


@dataclass(frozen=True)
class MergedLayer:
    """A layer without a node of its own.

    Attributes:
        node: the node that it was merged into, or that is the first of its arithmetic.
        name: of the layer, as far as the file has it.
        certain: False where the same nodes could be something else.
    """

    node: str
    name: str
    certain: bool

    def __str__(self) -> str:
        return f"{self.name} in {self.node}" if self.name else self.node


def find_merged(model: onnx.ModelProto, weights: Weights = NO_WEIGHTS) -> tuple[MergedLayer, ...]:
    """The layers that were merged or decomposed, as far as the graph shows it, one for each node.

    Args:
        model: the graph.
        weights: files that tensors of the graph are in.
    """
    editor = GraphEditor(model, weights)
    found: dict[str, MergedLayer] = {}
    for node in editor.nodes:
        layer = _by_metadata(node) or _by_names(node)
        if layer is None and is_standard(node, "Sub") and _is_arithmetic(editor, node):
            layer = MergedLayer(label(node), "", certain=is_keras(model))
        if layer is not None:
            found.setdefault(layer.name or layer.node, layer)
    return tuple(found.values())


def _by_metadata(node: onnx.NodeProto) -> MergedLayer | None:
    notes = {entry.key: entry.value for entry in node.metadata_props}
    if not is_standard(node, *_WEIGHTED):
        return None
    fused = "FuseBatchNorm" in notes.get("pkg.onnxscript.rewriter.rule_name", "")
    if not fused and "batchnorm.BatchNorm" not in notes.get("pkg.torch.onnx.class_hierarchy", ""):
        return None
    return MergedLayer(label(node), ".".join(_scopes(notes)[-2:-1]), certain=True)


def _scopes(notes: dict[str, str]) -> list[str]:
    """Names of the module that a node comes from and of all around it, and of the operation, as torch writes them."""
    try:
        return [str(scope) for scope in ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))]
    except (SyntaxError, ValueError):
        return []


def _by_names(node: onnx.NodeProto) -> MergedLayer | None:
    if is_standard(node, "Conv", "ConvTranspose") and len(node.input) > 2:
        if all(_INVENTED.fullmatch(name) for name in node.input[1:3]):
            return MergedLayer(label(node), "", certain=True)
        if _TF2ONNX_BIAS.fullmatch(node.input[2]):
            return MergedLayer(label(node), "", certain=True)
        if scope := _KERAS_SCOPE.match(node.input[2]):
            return MergedLayer(label(node), scope[1], certain=True)
    if is_standard(node, "Mul", "Sub", "Add") and (scope := _KERAS_SCOPE.match(node.name)):
        return MergedLayer(label(node), scope[1], certain=True)
    return None


def _is_arithmetic(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether a Sub, a Mul and an Add with constants per channel follow each other."""
    return all(
        following is not None and is_standard(following, op_type) and _has_channels(editor, following)
        for following, op_type in zip(_following(editor, node), ("Sub", "Mul", "Add"), strict=True)
    )


def _following(editor: GraphEditor, node: onnx.NodeProto) -> Iterator[onnx.NodeProto | None]:
    current: onnx.NodeProto | None = node
    for _ in range(3):
        yield current
        users = editor.users(current.output[0]) if current is not None else []
        current = users[0] if len(users) == 1 else None


def _has_channels(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    constants = [value for name in node.input if (value := editor.constant(name)) is not None]
    return len(constants) == 1 and constants[0].size == max(constants[0].shape, default=0) > 1
