"""Finds the normalisation layers of a graph that normalise each row by itself: operators of their own, or decomposed.

    layer norm      over the channels (and positions) of a row      Ba et al. 2016
    RMS norm        the same, without subtracting the mean          Zhang & Sennrich 2019
    instance norm   over the positions, for each channel            Ulyanov et al. 2016
    group norm      over positions and a group of channels          Wu & He 2018

The first two are observed at their output, after scale and shift. The output of the others has the same mean and
variance in every row, or nearly so: they are observed at their input, which still has what they remove.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models.graph.decomposed_norms import FoundNorm, find_decomposed
from models.graph.editor import GraphEditor
from models.graph.find import layer_name
from models.graph.nodes import integer, is_standard
from models.manifest import LayerKind, Placement, WatchedLayer, channels

NO_STATISTICS = "it normalises each row by itself: there are no running statistics to fold or to re-calibrate"

_CONTRIBUTED = frozenset({"", "ai.onnx", "com.microsoft"})
_NATIVE: dict[str, tuple[LayerKind, int, int]] = {
    "LayerNormalization": ("layer_norm", 1, 2),
    "RMSNormalization": ("rms_norm", 1, 0),
    "SimplifiedLayerNormalization": ("rms_norm", 1, 0),
    "SkipLayerNormalization": ("layer_norm", 2, 3),
    "SkipSimplifiedLayerNormalization": ("rms_norm", 2, 0),
    "GroupNormalization": ("group_norm", 1, 2),
    "GroupNorm": ("group_norm", 1, 2),
    "InstanceNormalization": ("instance_norm", 1, 2),
}
"""Operators: their kind, and which inputs are the scale and the shift, 0 where there is none."""


def find_norms(editor: GraphEditor, taken: Sequence[str] = ()) -> tuple[WatchedLayer, ...]:
    """The layers, in the order of the graph. Those whose number of channels is not known are left out.

    Args:
        editor: of the folded graph.
        taken: names of other layers.
    """
    names = set(taken)
    layers = []
    for node in editor.nodes:
        found = _native(editor, node) or find_decomposed(editor, node)
        if found is not None and (layer := _layer(editor, _follow(editor, found), names)) is not None:
            names.add(layer.name)
            layers.append(layer)
    return tuple(layers)


def _native(editor: GraphEditor, node: onnx.NodeProto) -> FoundNorm | None:
    if node.op_type not in _NATIVE or node.domain not in _CONTRIBUTED:
        return None
    kind, scale, shift = _NATIVE[node.op_type]
    rank = len(editor.shape(node.output[0]) or editor.shape(node.input[0]) or ())
    if not rank:
        return None
    axis = 1
    if kind in {"layer_norm", "rms_norm"}:
        first = integer(node, "axis", -1) % rank
        axis = rank - 1 if first == rank - 1 else 1
    elif node.op_type == "GroupNorm" and integer(node, "channels_last", 1):
        axis = rank - 1
    found = FoundNorm(kind, node, node.output[0], axis)
    for position, values in ((scale, found.scales), (shift, found.shifts)):
        name = node.input[position] if 0 < position < len(node.input) else ""
        if name and (value := editor.constant(name)) is not None:
            values.append(value if value.ndim != 1 or axis == rank - 1 else value.reshape(-1, *[1] * (rank - axis - 1)))
            found.parameters.append(name)
    if kind in {"group_norm", "instance_norm"}:
        found.read_at = node.input[0]
    return _grouped(editor, node) or found if kind == "instance_norm" else found


def _grouped(editor: GraphEditor, node: onnx.NodeProto) -> FoundNorm | None:
    """The group norm that an instance norm between two Reshapes computes, of one channel for each group."""
    before, after = editor.producer(node.input[0]), editor.users(node.output[0])
    if before is None or not is_standard(before, "Reshape") or len(after) != 1 or not is_standard(after[0], "Reshape"):
        return None
    return FoundNorm("group_norm", node, after[0].output[0], 1, read_at=before.input[0])


def _follow(editor: GraphEditor, found: FoundNorm) -> FoundNorm:
    """Take the constants that multiply and shift the layer's output into it."""
    while True:
        users = editor.users(found.tensor)
        if len(users) != 1 or found.tensor in editor.outputs or not is_standard(users[0], "Mul", "Add"):
            return found
        (user,) = users
        other = user.input[1] if user.input[0] == found.tensor else user.input[0]
        value = editor.constant(other)
        known = found.scales if user.op_type == "Mul" else found.shifts
        if value is None or (user.op_type == "Mul" and found.shifts) or known:
            return found
        known.append(value)
        found.parameters.append(other)
        found.tensor = user.output[0]


def _layer(editor: GraphEditor, found: FoundNorm, names: set[str]) -> WatchedLayer | None:
    tensor = found.read_at or found.tensor
    dims = editor.shape(tensor) or (editor.shape(found.node.output[0]) if found.read_at is None else None)
    if dims is None:
        return None
    constants = (*found.scales, *found.shifts)
    axes = [axis for value in constants if (axis := _axis(value, len(dims))) is not None]
    axis = axes[0] if axes and found.read_at is None else found.axis
    sizes = [dims[axis], *(value.size for value in constants if _axis(value, len(dims)) == axis)]
    size = next((size for size in sizes if isinstance(size, int) and size > 0), None)
    if size is None:
        return None
    gamma, beta = _per_channel(found.scales, size, 1.0), _per_channel(found.shifts, size, 0.0)
    has_units = found.read_at is None and bool(constants) and gamma is not None and beta is not None and gamma.all()
    name = layer_name(found.node, [editor.root(each) for each in found.parameters]) or found.node.name
    return WatchedLayer(
        name=_unique(name, names),
        kind=found.kind,
        num_features=size,
        gamma=channels(gamma.astype(np.float32)) if has_units and gamma is not None else None,
        beta=channels(beta.astype(np.float32)) if has_units and beta is not None else None,
        placement=Placement(kind="kept", reason=NO_STATISTICS, tensor=tensor, axis=axis),
    )


def _axis(value: NDArray[Any], rank: int) -> int | None:
    """The axis that a constant has one number for each index of, in a tensor that it is broadcast to."""
    long = [axis for axis, size in enumerate(value.shape) if size > 1]
    return rank - value.ndim + long[0] if len(long) == 1 and value.ndim <= rank else None


def _per_channel(values: Sequence[NDArray[Any]], size: int, default: float) -> NDArray[np.float64] | None:
    if not values:
        return np.full(size, default)
    value = np.squeeze(values[0]).astype(np.float64)
    if value.ndim == 0:
        return np.full(size, float(value))
    if value.ndim != 1 or size % value.size:
        return None
    return np.repeat(value, size // value.size)  # one number for each group of channels


def _unique(name: str, names: set[str]) -> str:
    found, number = name, 1
    while found in names:
        number += 1
        found = f"{name}#{number}"
    return found
