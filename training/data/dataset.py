"""Data sets in memory: images or texts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import ImagePreprocessing, Tokenization
from models.model_info import ModelInfo
from models.preprocessing import prepare_pixels


@dataclass(frozen=True)
class ImageDataset:
    """Labelled images, split into training and test images.

    Attributes:
        train_images, test_images: shape (N, C, H, W), uint8.
        train_labels, test_labels: shape (N,), int64, indices into `class_names`.
        class_names: in the order of the network's outputs.
        preprocessing: how pixels become the network's input, in training and in the service.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    preprocessing: ImagePreprocessing

    def prepare(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's input, shape (N, C, H, W), float32."""
        return prepare_pixels(images, self.preprocessing)

    @property
    def train_rows(self) -> NDArray[np.float32]:
        """All training images, prepared."""
        return self.prepare(self.train_images)

    @property
    def test_rows(self) -> NDArray[np.float32]:
        """All test images, prepared."""
        return self.prepare(self.test_images)

    def info(self, name: str) -> ModelInfo:
        """What a model that is trained on this data has in its manifest."""
        return ModelInfo(name, labels=self.class_names, preprocessing=self.preprocessing)


@dataclass(frozen=True)
class TextDataset:
    """Labelled texts, split into training and test texts.

    Attributes:
        train_rows, test_rows: shape (N, max_tokens), int64, the texts as rows of the network's input.
        train_labels, test_labels: shape (N,), int64, indices into `class_names`.
        class_names: in the order of the network's outputs.
        tokenization: how texts become rows, in training and in the service.
    """

    train_rows: NDArray[np.int64]
    train_labels: NDArray[np.int64]
    test_rows: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    tokenization: Tokenization

    def info(self, name: str) -> ModelInfo:
        """What a model that is trained on this data has in its manifest."""
        return ModelInfo(name, labels=self.class_names, tokenization=self.tokenization)


Dataset = ImageDataset | TextDataset


GREY_28 = ImagePreprocessing(mode="grey", height=28, width=28, scale=1 / 255, mean=(0.0,), std=(1.0,))
"""Pixels from 0 to 1. The first normalisation layer standardises them, and keeps their statistics."""

DIGIT_NAMES = tuple("0123456789")
