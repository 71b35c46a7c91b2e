"""The input as an image: moments of its pixels, as one more layer to watch.

Images that are moved, sheared, turned, softened or partly covered hardly change the averages of a layer, least of all
of a network without convolutions. Their pixels show it. The layer `image` has nine channels for each colour channel of
an image, means over its pixels y:

    y,    u y,    v y,    (u^2 - mean of u^2) y,    (v^2 - mean of v^2) y,    u v y,
    y^2,    (difference to the right)^2,    (difference below)^2

with u and v a pixel's place in its row and column, from -1 to 1. The moments with u and v tell where the values are: a
shift to one side moves the first two, one to either side their squares, a rotation, a shear or other proportions the
others. Squares tell how sharp and how noisy the image is.

Places are those of an AveragePool of at least 28 x 28 cells, in larger images, and squares those of every few rows of
pixels. The difference to the right of the last pixel of a row is that to the first one of the next row.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.graph.editor import GraphEditor
from models.manifest import ImagePreprocessing, ImageShape, Placement, TensorSpec, WatchedLayer

MOMENTS = 9
"""Channels of the layer for each colour channel."""

MAX_COLOURS = 4
"""An input with more channels is taken for something else than an image."""

_CELLS = 28
_ROWS = 32
_MIN_SIZE = 4
_REASON = "it is no layer of the network: there is nothing to fold or to re-calibrate"


def choose_image(inputs: Iterable[TensorSpec], preprocessing: ImagePreprocessing | None) -> WatchedLayer | None:
    """The layer of the first input that is an image of known size; None where none is.

    Args:
        inputs: of the network.
        preprocessing: how images become rows of the input, if that is known. Without, an image has a height, a width
            and 1 to 4 colour channels, first or last.
    """
    for spec in inputs:
        image = _of_preprocessing(spec, preprocessing) or _of_shape(spec)
        if image is not None and min(image.height, image.width) >= _MIN_SIZE:
            return WatchedLayer(
                name=f"{spec.name}.image",
                kind="image",
                num_features=MOMENTS * image.colours,
                placement=Placement(kind="kept", reason=_REASON, tensor=spec.name, axis=1),
                image=image,
            )
    return None


def image_nodes(editor: GraphEditor, image: ImageShape, tensor: str, output: str) -> list[onnx.NodeProto]:
    """The nodes that compute a layer of image moments, shape (rows, 9 C).

    Args:
        editor: of the folded graph.
        image: that a row is.
        tensor: the input, as float32.
        output: name of the result.
    """
    return _Nodes(editor, output).make(image, tensor)


def _of_preprocessing(spec: TensorSpec, preprocessing: ImagePreprocessing | None) -> ImageShape | None:
    if preprocessing is None:
        return None
    colours = len(preprocessing.mean)
    size = preprocessing.height, preprocessing.width
    if spec.shape[1:] not in {(colours * size[0] * size[1],), (colours, *size), size if colours == 1 else None}:
        return None
    return ImageShape(colours=colours, height=size[0], width=size[1])


def _of_shape(spec: TensorSpec) -> ImageShape | None:
    if len(spec.shape) != 4 or min(spec.shape[1:]) < 1:
        return None
    _, first, second, last = spec.shape
    if first <= MAX_COLOURS:
        return ImageShape(colours=first, height=second, width=last)
    if last <= MAX_COLOURS:
        return ImageShape(colours=last, height=first, width=second, colours_last=True)
    return None


class _Nodes:
    """Nodes of the layer.

    Args:
        editor: of the folded graph.
        output: name of the result.
    """

    def __init__(self, editor: GraphEditor, output: str) -> None:
        self._editor = editor
        self._output = output
        self._nodes: list[onnx.NodeProto] = []

    def make(self, image: ImageShape, tensor: str) -> list[onnx.NodeProto]:
        pixels = self._pixels(image, tensor)
        by_colour = self._node("Concat", self._places(image, pixels), *self._squares(image, pixels), axis=2)
        self._node("Reshape", by_colour, self._integers(0, MOMENTS * image.colours), output=self._output)
        return self._nodes

    def _pixels(self, image: ImageShape, tensor: str) -> str:
        """Of shape (rows, C, height, width)."""
        if image.colours_last:
            return self._node("Transpose", tensor, perm=[0, 3, 1, 2])
        return self._node("Reshape", tensor, self._integers(0, image.colours, image.height, image.width))

    def _places(self, image: ImageShape, pixels: str) -> str:
        """Means with weights by place, of shape (rows, C, 6)."""
        step = [max(1, size // _CELLS) for size in (image.height, image.width)]
        cells = image.height // step[0], image.width // step[1]
        if max(step) > 1:
            pixels = self._node("AveragePool", pixels, kernel_shape=step, strides=step)
        flat = self._node("Reshape", pixels, self._integers(0, image.colours, cells[0] * cells[1]))
        return self._node("MatMul", flat, self._constant(_weights(*cells)))

    def _squares(self, image: ImageShape, pixels: str) -> list[str]:
        """Means of squares of pixels, and of their differences to the right and below, of shape (rows, C, 1) each."""
        step = max(1, image.height // _ROWS)
        rows = [
            self._flat(image, self._slice(pixels, axis=2, start=start, end=image.height - 1 + start, step=step))
            for start in (0, 1)
        ]
        length = len(range(0, image.height - 1, step)) * image.width
        left, right = (self._slice(rows[0], axis=2, start=start, end=length - 1 + start) for start in (0, 1))
        squared = (rows[0], self._node("Sub", right, left), self._node("Sub", rows[1], rows[0]))
        return [self._node("GlobalAveragePool", self._node("Mul", one, one)) for one in squared]

    def _flat(self, image: ImageShape, pixels: str) -> str:
        return self._node("Reshape", pixels, self._integers(0, image.colours, -1))

    def _slice(self, tensor: str, *, axis: int, start: int, end: int, step: int = 1) -> str:
        return self._node("Slice", tensor, *(self._integers(number) for number in (start, end, axis, step)))

    def _node(self, op_type: str, *inputs: str, output: str = "", **attributes: int | list[int]) -> str:
        output = output or self._editor.fresh(f"{self._output}.{op_type}")
        self._nodes.append(helper.make_node(op_type, inputs, [output], f"{output}.node", **attributes))
        return output

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _constant(self, value: NDArray[np.int64] | NDArray[np.float32]) -> str:
        output = self._editor.fresh(f"{self._output}.Constant")
        stored = numpy_helper.from_array(value)
        self._nodes.append(helper.make_node("Constant", [], [output], f"{output}.node", value=stored))
        return output


def _weights(height: int, width: int) -> NDArray[np.float32]:
    """Of the moments in each cell, shape (height * width, 6)."""
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    moments = (np.ones_like(u), u, v, u**2 - np.mean(u**2), v**2 - np.mean(v**2), u * v)
    return np.stack([moment.ravel() for moment in moments], axis=1).astype(np.float32) / np.float32(height * width)
