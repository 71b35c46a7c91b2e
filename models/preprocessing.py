"""Pixels of images -> rows of a model's input."""

import numpy as np
from numpy.typing import NDArray

from models.manifest import ImagePreprocessing


def prepare_pixels(pixels: NDArray[np.uint8], preprocessing: ImagePreprocessing) -> NDArray[np.float32]:
    """``(pixel * scale - mean) / std`` per colour channel, computed in float32.

    Args:
        pixels: shape (..., C, H, W).
        preprocessing: of the model.
    """
    mean, std = (np.asarray(v, dtype=np.float32)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    rows = pixels.astype(np.float32, order="C")
    rows *= np.float32(preprocessing.scale)
    rows -= mean
    rows /= std
    return rows
