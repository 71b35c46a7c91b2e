"""What every data set is once it is loaded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import ImagePreprocessing


@dataclass(frozen=True)
class Dataset:
    """Labelled images, split once and for all.

    Attributes:
        train_images, test_images: shape (N, C, H, W), uint8.
        train_labels, test_labels: shape (N,), int64, indices into `class_names`.
        class_names: in the order of the network's outputs.
        preprocessing: how the pixels become the network's input; the service does the same with what it is sent.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    preprocessing: ImagePreprocessing

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(pixel * scale - mean) / std`` per colour channel; shape (N, C, H, W), float32."""
        mean, std = (
            np.array(values, dtype=np.float32)[:, None, None]
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        return (images * np.float32(self.preprocessing.scale) - mean) / std


GREY_28 = ImagePreprocessing(mode="grey", height=28, width=28, scale=1 / 255, mean=(0.0,), std=(1.0,))
"""Pixels from 0 to 1. No standardisation: the first normalisation layer does that, and remembers it."""

DIGIT_NAMES = tuple("0123456789")
