"""Handwritten digits of the UCI repository (Alpaydin & Kaynak 1998; CC BY 4.0), as scikit-learn ships them: offline.

1,797 images of 8 x 8 pixels with 17 grey levels, enlarged to the 28 x 28 of MNIST, so that the same networks take both.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from training.data.dataset import DIGIT_NAMES, GREY_28, ImageDataset

_TEST_EVERY = 5


def load() -> ImageDataset:
    """1,433 training and 364 test images, shape (1, 28, 28) each: every fifth image of each class is a test image."""
    pixels, labels = load_digits(return_X_y=True)
    images = _enlarge(pixels.reshape(-1, 8, 8))
    labels = labels.astype(np.int64)
    test = _every_fifth_of_each_class(labels)
    return ImageDataset(images[~test], labels[~test], images[test], labels[test], DIGIT_NAMES, GREY_28)


def _enlarge(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N, 8, 8) of 0 to 16 -> (N, 1, 28, 28) of 0 to 255, linearly interpolated."""
    enlarged = zoom(pixels * (255 / 16), (1, 3.5, 3.5), order=1)
    return np.rint(enlarged)[:, None].astype(np.uint8)


def _every_fifth_of_each_class(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[::_TEST_EVERY]] = True
    return test
