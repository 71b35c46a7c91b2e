"""Operators that an exporter has taken over from its own framework, and that ONNX does not have."""

import onnx
from onnx import TensorProto, defs, helper

from models.errors import GraphError
from models.graph.nodes import attribute, fresh_name, is_standard
from models.importing.exporters import is_keras

_LOCALE = "C.UTF-8"
"""Upper and lower case of all alphabets. The default of onnxruntime, en_US.UTF-8, is in few containers."""


def translate_operators(model: onnx.ModelProto) -> None:
    """Replace the operators that ONNX can express: TensorFlow's Erfc, which is in the GELU of Keras.

    A StringNormalizer that states no locale gets one that every Linux system has.

    Raises:
        GraphError: there are others. The message names them and says what to do.
    """
    names = {tensor for node in model.graph.node for tensor in (*node.input, *node.output)}
    nodes = [part for node in model.graph.node for part in _translated(node, names)]
    if len(nodes) > len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    for node in model.graph.node:
        if is_standard(node, "StringNormalizer") and not attribute(node, "locale"):
            node.attribute.append(helper.make_attribute("locale", _LOCALE))
    unknown = {node.op_type for node in nodes if node.domain in ("", "ai.onnx") and not defs.has(node.op_type)}
    if unknown:
        raise GraphError(
            f"it has operators that ONNX does not have: {', '.join(sorted(unknown))}. Its exporter could not translate "
            f"them: {_advice(model, unknown)}"
        )


def _translated(node: onnx.NodeProto, names: set[str]) -> list[onnx.NodeProto]:
    """Erfc as 1 - Erf; other nodes as they are."""
    if node.op_type != "Erfc" or node.domain:
        return [node]
    one, erf = (fresh_name(f"{node.output[0]}_{part}", names) for part in ("one", "erf"))
    value = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    return [
        helper.make_node("Constant", [], [f"{one}_float"], value=value),
        helper.make_node("CastLike", [f"{one}_float", node.input[0]], [one]),
        helper.make_node("Erf", list(node.input), [erf]),
        helper.make_node("Sub", [one, erf], list(node.output), node.name),
    ]


def _advice(model: onnx.ModelProto, unknown: set[str]) -> str:
    if any("Random" in name for name in unknown):
        return "export the model without its layers for augmentation"
    if is_keras(model) or model.producer_name == "tf2onnx":
        return "export the model by Keras' torch backend (KERAS_BACKEND=torch), or replace the layers that have them"
    return "replace what has them, or use another exporter"
