"""Slices that take all of a tensor, as torch's newer exporter writes ``x[:, :n]``: all rows, and then the channels."""

import onnx

from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import Refusal
from models.graph.folding.parts import slice_bounds
from models.graph.nodes import is_standard, used_tensors

_NO_END = 2**31 - 1
"""Exporters state an end at least this large where a part goes to the end of an axis of any size."""


def remove_whole_slices(editor: GraphEditor) -> None:
    """Have what reads such a Slice read the tensor itself, so that all that read it are seen together."""
    slices = [node for node in editor.nodes if is_standard(node, "Slice")]
    whole = [node for node in slices if _takes_all(editor, node) and _can_be_redirected(editor, node.output[0])]
    for node in whole:
        editor.redirect(node.output[0], node.input[0])
        editor.replace(node, [])
    if whole:
        editor.infer_again()  # a Slice of all rows has a number of rows that cannot be inferred


def _takes_all(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    dims = editor.shape(node.input[0])
    if dims is None:
        return False
    try:
        bounds = slice_bounds(editor, node)
    except Refusal:
        return False
    return all(
        start == 0 and step == 1 and (end >= _NO_END or (isinstance(size := dims[axis], int) and end >= size))
        for axis, start, end, step in bounds
    )


def _can_be_redirected(editor: GraphEditor, tensor: str) -> bool:
    """Whether nothing reads it but by the inputs of nodes: neither a subgraph nor the graph's outputs."""
    users = editor.users(tensor)
    return tensor not in editor.outputs and all(
        list(used_tensors(user)).count(tensor) == list(user.input).count(tensor) for user in users
    )
