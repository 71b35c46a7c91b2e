"""How much of a change of basis is the only possible one, so that what refuses it proves something.

Where branches are added, all take one scale, but any of them may take the shift: only the scale stays certain there.
Not even that is certain of branches that are linear in one tensor: the weights of one could make up for the other.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from models.graph.editor import GraphEditor
from models.graph.folding.channel_map import ChannelMap
from models.graph.folding.step import Step
from models.graph.nodes import is_standard

Certainty = NDArray[np.int8]
"""For each channel NOTHING, SCALE or MAP; in the shape of the map's scale."""

NOTHING, SCALE, MAP = 0, 1, 2

_MARK = 2.0


def certain(change: ChannelMap) -> Certainty:
    """That the map of each channel is the only one possible."""
    return np.full(change.scale.shape, MAP, np.int8)


def without_shift(known: Certainty) -> Certainty:
    """What is certain where something else could take the shift."""
    return np.minimum(known, SCALE).astype(np.int8)


def of_sum(editor: GraphEditor, node: onnx.NodeProto, known: Certainty) -> Certainty:
    """What is certain of a sum of branches, and of the other branches, if so much is known of one."""
    one, other = (_sources(editor, name) for name in node.input)
    return np.full_like(known, NOTHING) if one & other else without_shift(known)


def shows(known: Certainty, change: ChannelMap) -> bool:
    """Whether it is certain that a tensor does not stay as it is."""
    return bool((known == MAP).all() or ((known >= SCALE) & (change.scale != 1)).any())


def shows_negative_scale(known: Certainty, change: ChannelMap) -> bool:
    """Whether it is certain that a channel takes a negative scale."""
    return bool(((known >= SCALE) & (change.scale < 0)).any())


def follow(
    known: Certainty, change: ChannelMap, step: Step, index: int, rule: Callable[[ChannelMap], Step]
) -> Certainty:
    """What is certain on the other side of a node.

    Args:
        known: of the change on this side.
        change: on this side.
        step: how the node passes it on.
        index: of the map that is passed on.
        rule: that gave the step. It shows where the channels go.
    """
    there = dict(step.onward)[index]
    passed = np.full(there.scale.shape, NOTHING, np.int8)
    for level in (SCALE, MAP):
        is_known = known >= level
        if is_known.all():
            passed[...] = level
            continue
        marked = replace(change, scale=np.where(is_known, _MARK, 1.0), shift=np.zeros(known.shape))
        marks = dict(rule(marked).onward)
        if index in marks and marks[index].scale.shape == passed.shape:  # an even map may be stated on other axes
            passed[marks[index].scale == _MARK] = level
    if step.is_factor:
        return np.full_like(passed, NOTHING)
    return without_shift(passed) if step.is_choice else passed


def _sources(editor: GraphEditor, tensor: str) -> set[str]:
    """What a tensor is computed from by linear nodes."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [tensor]
    while waiting:
        name = waiting.pop()
        if name in seen or not name or editor.constant(name) is not None:
            continue
        seen.add(name)
        node = editor.producer(name)
        computed = [] if node is None else [part for part in node.input if part and editor.constant(part) is None]
        if node is not None and (
            is_standard(node, *_LINEAR) or (is_standard(node, "Mul", "Div") and len(computed) == 1)
        ):
            waiting += computed
        else:
            found.add(name)
    return found


_LINEAR = (
    *(
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Concat",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "Dropout",
        "Expand",
    ),
    *("Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity", "MatMul", "Pad", "ReduceMean", "ReduceSum"),
    *("Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
)
