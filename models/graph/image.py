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
from numpy.typing import NDArray

from models.graph.added_nodes import AddedNodes
from models.manifest import ImagePreprocessing, ImageShape, Placement, TensorSpec, WatchedLayer

MOMENTS = 9
"""Channels of the layer for each colour channel."""

MAX_COLOURS = 4
"""An input with more channels is taken for something else than an image."""

_CELLS = 28
_ROWS = 32
_MIN_SIZE = 4


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
                placement=Placement.outside(spec.name),
                image=image,
            )
    return None


def add_image(nodes: AddedNodes, image: ImageShape, tensor: str, output: str) -> None:
    """Add the nodes that compute a layer of image moments, shape (rows, 9 C).

    Args:
        nodes: of the layer so far.
        image: that a row is.
        tensor: the input, as float32.
        output: name of the result.
    """
    pixels = _add_pixels(nodes, image, tensor)
    moments = nodes.add("Concat", _add_places(nodes, image, pixels), *_add_squares(nodes, image, pixels), axis=2)
    nodes.add("Reshape", moments, nodes.integers(0, MOMENTS * image.colours), output=output)


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
        return ImageShape(colours=last, height=first, width=second, channels_last=True)
    return None


def _add_pixels(nodes: AddedNodes, image: ImageShape, tensor: str) -> str:
    """Of shape (rows, C, height, width)."""
    if image.channels_last:
        return nodes.add("Transpose", tensor, perm=[0, 3, 1, 2])
    return nodes.add("Reshape", tensor, nodes.integers(0, image.colours, image.height, image.width))


def _add_places(nodes: AddedNodes, image: ImageShape, pixels: str) -> str:
    """Means with weights by place, of shape (rows, C, 6)."""
    step = [max(1, size // _CELLS) for size in (image.height, image.width)]
    if max(step) > 1:
        pixels = nodes.add("AveragePool", pixels, kernel_shape=step, strides=step)
    weights = nodes.constant(_weights(image.height // step[0], image.width // step[1]))
    return nodes.add("MatMul", _add_flat(nodes, image, pixels), weights)


def _add_squares(nodes: AddedNodes, image: ImageShape, pixels: str) -> list[str]:
    """Means of squares of pixels, and of their differences to the right and below, of shape (rows, C, 1) each."""
    step = max(1, image.height // _ROWS)
    rows = [
        _add_flat(nodes, image, _add_slice(nodes, pixels, start=start, end=image.height - 1 + start, step=step))
        for start in (0, 1)
    ]
    length = len(range(0, image.height - 1, step)) * image.width
    left, right = (_add_slice(nodes, rows[0], start=start, end=length - 1 + start) for start in (0, 1))
    squared = (rows[0], nodes.add("Sub", right, left), nodes.add("Sub", rows[1], rows[0]))
    return [nodes.add("GlobalAveragePool", nodes.add("Mul", one, one)) for one in squared]


def _add_flat(nodes: AddedNodes, image: ImageShape, pixels: str) -> str:
    return nodes.add("Reshape", pixels, nodes.integers(0, image.colours, -1))


def _add_slice(nodes: AddedNodes, tensor: str, *, start: int, end: int, step: int = 1) -> str:
    """Along axis 2."""
    return nodes.add("Slice", tensor, *(nodes.integers(number) for number in (start, end, 2, step)))


def _weights(height: int, width: int) -> NDArray[np.float32]:
    """Of the moments in each cell, shape (height * width, 6)."""
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    moments = (np.ones_like(u), u, v, u**2 - np.mean(u**2), v**2 - np.mean(v**2), u * v)
    return np.stack([moment.ravel() for moment in moments], axis=1).astype(np.float32) / np.float32(height * width)
