"""Functions of a file, which ONNX lets a graph call as it calls operators."""

import onnx
from onnx import inliner

from models.graph.find import OP_TYPE
from models.graph.nodes import is_standard, nested


def inline_norm_layers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the nodes of its functions in place of their calls, if a function has a normalisation layer.

    Parameters of a layer in a function are arguments of it: its statistics are known where it is called. A model whose
    functions have no layer is returned as it is, and so is a function of another opset than the model.
    """
    in_functions = (node for function in model.functions for node in function.node)
    if not any(is_standard(inner, OP_TYPE) for node in in_functions for inner in (node, *nested(node))):
        return model
    return inliner.inline_local_functions(model)
