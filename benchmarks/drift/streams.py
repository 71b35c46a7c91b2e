"""Streams of MNIST's test images whose rows resemble each other, undisturbed, and the statistics of their windows."""

from collections.abc import Callable

import numpy as np

from benchmarks.drift.rows import Indices, Rows, TestImages
from models.batchnorm import Float64
from models.drift.reference import ExpectedMoments, standard_error
from models.drift.thresholds import usual_at
from models.manifest import DriftReference

RUNS = 40
"""Of images in the data set's own order, of about three writers each."""
BURST_ROWS = 20
HOUR_ROWS = 2048
_CHUNK = 200

Draw = Callable[[int, list[Indices], Indices, np.random.Generator], Indices]
"""From a number of rows, runs of images in their own order, the labels of all images -> indices of a stream's rows."""


def _random(rows: int, runs: list[Indices], _labels: Indices, random: np.random.Generator) -> Indices:
    return random.choice(np.concatenate(runs), rows)


def _by_writer(rows: int, runs: list[Indices], _labels: Indices, random: np.random.Generator) -> Indices:
    count = -(-rows // min(map(len, runs)))
    return np.concatenate([runs[chosen] for chosen in random.integers(len(runs), size=count)])[:rows]


def _bursts(rows: int, runs: list[Indices], labels: Indices, random: np.random.Generator) -> Indices:
    pool = np.concatenate(runs)
    by_class = [pool[labels[pool] == label] for label in range(10)]
    lengths = random.geometric(1 / BURST_ROWS, size=rows)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), rows) + 1]
    return np.concatenate([random.choice(by_class[random.integers(10)], length) for length in lengths])[:rows]


def _by_hour(rows: int, runs: list[Indices], _labels: Indices, random: np.random.Generator) -> Indices:
    pool = np.concatenate(runs)
    first, second = pool[pool < 5000], pool[pool >= 5000]
    phase = 2 * np.pi * (np.arange(rows) / HOUR_ROWS + random.random())
    is_first = random.random(rows) < 0.5 + 0.45 * np.sin(phase)
    return np.where(is_first, random.choice(first, rows), random.choice(second, rows))


DRAWS: dict[str, Draw] = {
    "random": _random,
    "by writer": _by_writer,
    "class bursts": _bursts,
    "by hour": _by_hour,
}


class Streams:
    """Windows of streams of the images that did not set a model's thresholds.

    Args:
        images: all of them.

    Attributes:
        runs: of their indices, in the data set's own order.
    """

    def __init__(self, images: TestImages) -> None:
        self.runs = np.array_split(images.others, RUNS)
        self._labels = images.labels
        self._place = np.full(len(images.images), -1)
        self._place[images.others] = np.arange(len(images.others))

    def windows(
        self, kind: str, size: int, count: int, random: np.random.Generator, runs: list[Indices] | None = None
    ) -> Indices:
        """Places among the rows of `TestImages.others`, of windows one after the other, shape (count, size).

        Args:
            kind: of the stream, one of `DRAWS`.
            size: rows of a window.
            count: windows.
            random: draws the stream.
            runs: of images to draw from; all if absent.
        """
        drawn = DRAWS[kind](count * size, self.runs if runs is None else runs, self._labels, random)
        return self._place[drawn].reshape(count, size)


def window_statistics(reference: DriftReference, rows: Rows, windows: Indices) -> Float64:
    """The statistic over all layers of windows, whose rows' places have the shape (windows, rows)."""
    size = windows.shape[1]
    error = standard_error(size, reference.rows)
    found = np.zeros(len(windows))
    for name, layer in reference.layers.items():
        expected, usual, kept = ExpectedMoments.of_layer(layer), usual_at(reference, layer, size), rows.layers[name]
        for start in range(0, len(windows), _CHUNK):
            part = slice(start, start + _CHUNK)
            mean, square = (values[windows[part]].mean(axis=1) for values in (kept.mean, kept.mean_square))
            found[part] = np.maximum(found[part], expected.statistic(mean, square, error, usual))
    return found
