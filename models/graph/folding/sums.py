"""Sums and differences of branches: nodes that add two tensors that are both computed."""

import onnx

from models.graph.editor import GraphEditor
from models.graph.folding.passing import PASSING
from models.graph.nodes import is_standard


def is_sum_of_branches(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether a node adds or subtracts two computed tensors of one shape."""
    if not is_standard(node, "Add", "Sub") or any(editor.constant(name) is not None for name in node.input):
        return False
    return len({editor.shape(name) for name in (*node.input, *node.output)}) == 1 and node.input[0] != node.input[1]


def sign(node: onnx.NodeProto, slot: int) -> int:
    """Of an operand in a sum or difference."""
    return -1 if (node.op_type, slot) == ("Sub", 1) else 1


def is_read_once(editor: GraphEditor, tensor: str) -> bool:
    """Whether nothing else reads a branch, nor what its values are passed on from."""
    while len(editor.value_users(tensor)) == 1 and (node := editor.producer(tensor)) is not None:
        if not is_standard(node, *PASSING):
            return True
        tensor = node.input[0]
    return False
