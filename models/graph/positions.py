"""Where in a row a layer's values are: moments over positions, as one more layer to watch.

A mean over positions does not change when an image is moved, sheared or turned, so a layer's own moments hardly see it.
The layer `positions` has four channels for each channel of a convolution's output y of n x m cells, means over cells of

    u y,    v y,    (u^2 - mean of u^2) y,    (v^2 - mean of v^2) y

with u and v the cell's place in its row and column, from -1 to 1. They are 0 for an image of one value. A shift to one
side moves the first two, one to either side their squares, a rotation or other proportions the last two.

The cells are an AveragePool of about 7 x 7, which is as cheap as the layer's own mean, and a matrix product with these
weights. One layer is read: the first one, which has most positions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.graph.editor import GraphEditor
from models.manifest import Placement, WatchedLayer

MOMENTS = 4
"""Channels of the layer for each channel that it is read at."""

MAX_CHANNELS = 256
"""Of the tensor that is read: more would cost more than the layers themselves."""

_CELLS = 7
_MIN_SIZE = 4
_REASON = "it is no layer of the network: there is nothing to fold or to re-calibrate"


class _Image(NamedTuple):
    """A tensor of shape (rows, channels, height, width)."""

    channels: int
    height: int
    width: int


def choose_positions(editor: GraphEditor, layers: Sequence[WatchedLayer]) -> WatchedLayer | None:
    """The layer of positions of the first layer that has some; None where no layer is an image of known size.

    Args:
        editor: of the folded graph.
        layers: of the version, in the order of the graph.
    """
    for layer in layers:
        image = _image(editor, layer.placement.tensor)
        is_read_by_row = layer.unwatched is None and not layer.several_per_row
        if is_read_by_row and layer.placement.axis == 1 and image is not None:
            return WatchedLayer(
                name=f"{layer.name}.positions",
                kind="positions",
                num_features=MOMENTS * image.channels,
                placement=Placement(kind="kept", reason=_REASON, tensor=layer.placement.tensor, axis=1),
            )
    return None


def position_nodes(editor: GraphEditor, layer: WatchedLayer, tensor: str, output: str) -> list[onnx.NodeProto]:
    """The nodes that compute a layer of positions, shape (rows, 4 C).

    Args:
        editor: of the folded graph.
        layer: as `choose_positions` returns it.
        tensor: what it reads, as float32.
        output: name of the result.
    """
    image = _image(editor, layer.placement.tensor)
    assert image is not None  # noqa: S101 - for the type checker: the layer was chosen
    steps = [max(1, size // _CELLS) for size in (image.height, image.width)]
    cells = image.height // steps[0], image.width // steps[1]
    names = {
        part: editor.fresh(f"{output}.{part}") for part in ("pooled", "shape", "cells", "weights", "by_channel", "flat")
    }
    constants = {
        names["shape"]: np.array([0, image.channels, cells[0] * cells[1]], np.int64),
        names["weights"]: _weights(*cells),
        names["flat"]: np.array([0, layer.num_features], np.int64),
    }
    stored = [
        helper.make_node("Constant", [], [name], f"{name}.node", value=numpy_helper.from_array(value))
        for name, value in constants.items()
    ]

    def node(op_type: str, inputs: list[str], result: str, **attributes: list[int]) -> onnx.NodeProto:
        return helper.make_node(op_type, inputs, [result], f"{result}.node", **attributes)

    return [
        *stored,
        node("AveragePool", [tensor], names["pooled"], kernel_shape=steps, strides=steps),
        node("Reshape", [names["pooled"], names["shape"]], names["cells"]),
        node("MatMul", [names["cells"], names["weights"]], names["by_channel"]),
        node("Reshape", [names["by_channel"], names["flat"]], output),
    ]


def _image(editor: GraphEditor, tensor: str) -> _Image | None:
    dims = editor.shape(tensor)
    if dims is None or len(dims) != 4:
        return None
    channels, height, width = dims[1:]
    if not (isinstance(channels, int) and isinstance(height, int) and isinstance(width, int)):
        return None
    is_readable = 1 <= channels <= MAX_CHANNELS and min(height, width) >= _MIN_SIZE
    return _Image(channels, height, width) if is_readable else None


def _weights(height: int, width: int) -> NDArray[np.float32]:
    """Of the moments in each cell, shape (height * width, 4)."""
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    moments = (u, v, u**2 - np.mean(u**2), v**2 - np.mean(v**2))
    return np.stack([moment.ravel() for moment in moments], axis=1).astype(np.float32) / np.float32(height * width)
