"""Seeds -> rows of a generator's input, and rows of its output -> pixels.

The noise is that of ``numpy.random.Generator(PCG64(seed)).standard_normal((count, n), dtype=float32)``. So the first
rows of a larger count are those of a smaller one.
"""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.manifest import Generation, ImagePreprocessing, TensorSpec
from models.validation import shorten

MAX_SEED = (1 << 53) - 1
"""Largest integer that every JSON reader has."""


class LatentSampler:
    """Draws rows of a generator's input.

    Args:
        generation: of the model.
        spec: of its only input.
    """

    def __init__(self, generation: Generation, spec: TensorSpec) -> None:
        self._classes = {name: index for index, name in enumerate(generation.classes)}
        self._shape = spec.shape[1:]

    def draw(self, seed: int, count: int, class_name: str | None = None) -> NDArray[np.float32]:
        """Rows of the input, shape (count, ...), float32.

        Args:
            seed: from 0 to `MAX_SEED`.
            count: of rows, at least 1.
            class_name: of every row. By default row i is of class i modulo the number of classes.

        Raises:
            InvalidInput: the model has no such class, or none at all.
        """
        if class_name is not None and class_name not in self._classes:
            expected = f"one of {', '.join(self._classes)}" if self._classes else "none: the model is not conditional"
            raise InvalidInput(f"got '{shorten(class_name)}', expected {expected}", "class")
        num_classes = len(self._classes)
        rows = np.zeros((count, prod(self._shape)), np.float32)
        generator = np.random.Generator(np.random.PCG64(seed))
        rows[:, : rows.shape[1] - num_classes] = generator.standard_normal(
            (count, rows.shape[1] - num_classes), np.float32
        )
        if num_classes:
            classes = np.arange(count) % num_classes if class_name is None else self._classes[class_name]
            rows[np.arange(count), classes - num_classes] = 1
        return rows.reshape(count, *self._shape)


def to_pixels(values: NDArray[Any], image: ImagePreprocessing) -> NDArray[np.uint8]:
    """The pixels of generated images: ``(value * std + mean) / scale``, rounded, and clipped to 0 to 255.

    Args:
        values: shape (N, C, H, W); NaN becomes 0.
        image: of the model.
    """
    mean, std = (np.asarray(numbers, np.float64)[:, None, None] for numbers in (image.mean, image.std))
    pixels = (values * std + mean) / image.scale
    return np.asarray(np.rint(np.nan_to_num(pixels).clip(0, 255)), np.uint8)


def sheet(pixels: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images beside and below each other, in rows of `columns`: shape (N, C, H, W) to (height, width, C).

    Places that are left over are black.
    """
    count, channels, height, width = pixels.shape
    rows = -(-count // columns)
    places = np.zeros((rows * columns, channels, height, width), np.uint8)
    places[:count] = pixels
    grid = places.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return grid.reshape(rows * height, columns * width, channels)


def square(count: int) -> int:
    """Columns of a sheet that is about as wide as it is high."""
    return int(np.ceil(np.sqrt(count)))
