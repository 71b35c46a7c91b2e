"""A Pad with a constant, beside a map per channel: the constant changes as the values of the tensor do.

pad(s x + t, v) = s pad(x, (v - t) / s) + t          forward
s pad(x, v) + t = pad(s x + t, s v + t)              backward

ONNX pads every channel with one number, so that all channels have to need the same.
"""

import numpy as np
import onnx

from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import ChannelMap, Refusal
from models.graph.folding.step import Edit, Step, has_input, shape, unchanged_size
from models.graph.nodes import attribute, label

_CONSTANT_IS_INPUT = 11
"""Opset since which the constant is an input of a Pad. It was an attribute."""


def pads_constant(node: onnx.NodeProto) -> bool:
    """Whether a Pad puts a constant around a tensor, and not values of the tensor."""
    return bool(attribute(node, "mode", "constant") == "constant")


def step(editor: GraphEditor, node: onnx.NodeProto, known: ChannelMap, *, backward: bool) -> Step:
    """How such a Pad lets the map pass, which is known at its output (backward) or at its input.

    Raises:
        Refusal: it cannot.
    """
    on = known.along(known.axis, unchanged_size(editor, node, known.axis))
    value = _value(editor, node)
    if not on.scale.all():
        raise Refusal(f"the constant of {label(node)} cannot take a scale of 0")
    needed = on.scale * value + on.shift if backward else (value - on.shift) / on.scale
    low, high = float(needed.min()), float(needed.max())
    if low != high:
        raise Refusal(
            f"{label(node)} pads every channel with {value:.3g}, and channel {np.argmin(needed)} would need {low:.3g}, "
            f"channel {np.argmax(needed)} {high:.3g}",
            proven=backward and _grows(editor, node),
        )
    return Step(_edits(editor, node, value, low), onward=((0, on),))


def _grows(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether it is known that something is padded."""
    sizes = zip(shape(editor, node.input[0]), shape(editor, node.output[0]), strict=True)
    return any(isinstance(before, int) and isinstance(after, int) and after > before for before, after in sizes)


def _edits(editor: GraphEditor, node: onnx.NodeProto, value: float, needed: float) -> tuple[Edit, ...]:
    if needed == value:
        return ()
    element_type = editor.element_type(node.input[0])
    constant = np.asarray(needed, np.float64)
    if editor.opset < _CONSTANT_IS_INPUT or editor.overflows(constant, element_type):
        raise Refusal(f"the constant of {label(node)} cannot become {needed:.3g}")
    return (lambda: editor.set_constant(node, 2, constant, element_type, base=f"{node.name}.constant"),)


def _value(editor: GraphEditor, node: onnx.NodeProto) -> float:
    if not has_input(node, 2):
        return float(attribute(node, "value", 0.0))
    value = editor.constant(node.input[2])
    if value is None:
        raise Refusal(f"the constant of {label(node)} is only known when it runs")
    return float(value.reshape(()))
