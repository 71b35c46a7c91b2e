"""How one node handles a map: the edits that absorb it, and what they look up."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from models.batchnorm import Float64
from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.nodes import Dim, label

Edit = Callable[[], None]


@dataclass(frozen=True)
class Step:
    """How one node handles a map.

    Attributes:
        edits: to apply if every branch ends in weights; empty for a node that only passes the map on.
        onward: the maps that are passed on, by slot of the node's inputs (backward) or outputs (forward).
        is_choice: whether other maps could be passed on, so that a refusal of these proves nothing.
        is_factor: whether another factor could even take the scale.
    """

    edits: tuple[Edit, ...] = ()
    onward: tuple[tuple[int, ChannelMap], ...] = ()
    is_choice: bool = False
    is_factor: bool = False


def rewrite(editor: GraphEditor, node: onnx.NodeProto, slot: int, value: Float64, like: int | None = None) -> Edit:
    """The edit that makes input `slot` of the node the constant `value`, in the type of that input (or of `like`).

    Raises:
        Refusal: a number would not be finite in that type.
    """
    element_type = editor.element_type(node.input[slot if like is None else like])
    _check(editor, node, value, element_type)
    return lambda: editor.set_constant(node, slot, value, element_type)


def add_after(editor: GraphEditor, node: onnx.NodeProto, value: Float64) -> Edit:
    """The edit that adds a constant to the output of the node.

    Raises:
        Refusal: a number would not be finite in the output's type.
    """
    _check(editor, node, value, editor.element_type(node.output[0]))
    return lambda: editor.add_after(node, value)


def weights(editor: GraphEditor, node: onnx.NodeProto, slot: int) -> Float64:
    """The constant at input `slot`, float64.

    Raises:
        Refusal: that input is computed, or an input of the graph.
    """
    value = editor.constant(node.input[slot])
    if value is None:
        raise Refusal(f"input '{node.input[slot]}' of {label(node)} is not a constant")
    return value.astype(np.float64, copy=False)


def bias(editor: GraphEditor, node: onnx.NodeProto) -> Float64:
    """The constant at the third input, float64; 0 where there is none.

    Raises:
        Refusal: that input is computed, or an input of the graph.
    """
    return weights(editor, node, 2) if has_input(node, 2) else np.zeros(())


def has_input(node: onnx.NodeProto, slot: int) -> bool:
    """Whether the optional input is given."""
    return len(node.input) > slot and bool(node.input[slot])


def shape(editor: GraphEditor, tensor: str) -> tuple[Dim, ...]:
    """The shape of a tensor, its rank known.

    Raises:
        Refusal: the rank is not known.
    """
    known = editor.shape(tensor)
    if known is None:
        raise Refusal(f"the shape of '{tensor}' is not known")
    return known


def unchanged_size(editor: GraphEditor, node: onnx.NodeProto, axis: int) -> Dim:
    """The size of an axis that a node does not change.

    Raises:
        Refusal: the node changes it.
    """
    before, after = shape(editor, node.input[0])[axis], shape(editor, node.output[0])[axis]
    if before != after:
        raise Refusal(f"{label(node)} changes the number of channels")
    return before


def _check(editor: GraphEditor, node: onnx.NodeProto, value: Float64, element_type: int) -> None:
    if editor.overflows(value, element_type):
        raise Refusal(f"a weight of {label(node)} would overflow its type ({np.abs(value).max():.3g})")
