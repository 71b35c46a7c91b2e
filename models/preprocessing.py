"""Pixels of images -> rows of a model's input."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from models.manifest import ImagePreprocessing


def prepare_pixels(
    pixels: NDArray[np.uint8], preprocessing: ImagePreprocessing, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """``(pixel * scale - mean) / std`` per colour channel.

    Args:
        pixels: shape (..., C, H, W).
        preprocessing: of the model.
        dtype: the floating type to compute in.
    """
    mean, std = (np.asarray(values, dtype)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    rows = pixels.astype(dtype, order="C")
    rows *= np.asarray(preprocessing.scale, dtype)
    rows -= mean
    rows /= std
    return rows
