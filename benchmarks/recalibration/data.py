"""Test images of MNIST, and scikit-learn's digits in several framings."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from benchmarks.recalibration.network import Rows
from models.repository import held_out
from training.data import mnist

MEASURED = 2000


class Data:
    """Test images of MNIST: a pool to estimate from, and rows to measure on."""

    def __init__(self, folder: Path) -> None:
        data = mnist.load(folder)
        images, labels = data.prepare(data.test_images), data.test_labels
        every = np.arange(len(images))
        kept = held_out.choose({"every": every})["every"]
        order = np.random.default_rng(1).permutation(np.setdiff1d(every, kept))
        pool, measured = order[:-MEASURED], order[-MEASURED:]
        self.pool, self.pool_labels = images[pool], labels[pool]
        self.measured, self.labels = images[measured], labels[measured]

    def draw(self, count: int, seed: int, classes: Sequence[int] | None = None) -> Rows:
        rows = np.arange(len(self.pool)) if classes is None else np.flatnonzero(np.isin(self.pool_labels, classes))
        chosen: Rows = self.pool[np.random.default_rng(seed).choice(rows, count, replace=False)]
        return chosen


def framings(pixels: NDArray[np.float64]) -> Iterator[tuple[str, Rows]]:
    """The 8 x 8 digits enlarged to so many pixels, amid black up to the 28 x 28 of MNIST, whose digits have 20."""
    for side in (28, 24, 20):
        yield f"{side} x {side} of 28 x 28", enlarge(pixels, side)


def enlarge(pixels: NDArray[np.float64], side: int) -> Rows:
    """Images of 8 x 8, enlarged to so many pixels amid black: shape (n, 1, 28, 28)."""
    enlarged = zoom(pixels, (1, side / 8, side / 8), order=1, grid_mode=True, mode="nearest")
    margin = (28 - side) // 2
    return np.pad(enlarged, ((0, 0), *[(margin, margin)] * 2))[:, None].astype(np.float32)
