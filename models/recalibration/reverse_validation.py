"""Which of two predictions for some rows is the better one: that by which the rows classify held-out rows better.

The classes of held-out rows are known. Where the predictions for other rows are right, a classifier that is fitted to
these finds the classes of the held-out rows again. Where the rows are of another task, what is called a 3 has little in
common with a 3. That is reverse validation (Zhong, Fan, Yang, Verscheure & Ren 2010, "Cross Validation Framework to
Choose amongst Models and Datasets for Transfer Learning"). How sure a network is of its predictions does not count.

The classifier is another one than the network, and a shift of all rows is no shift to it: each value is taken relative
to its mean and spread over the rows that it comes with. A row is of the class whose mean row has the smallest angle to
it, in the directions that have most of the held-out rows' variance, each scaled to the same variance.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.classification import Classes, kappa
from models.datatypes import Arrays

MIN_HELD_OUT_ROWS = 64

MAX_ROWS = 256
"""Of either kind: more take time and memory, and tell little more."""

MIN_USUAL = 0.2
"""Kappa that undisturbed rows have to reach: where they do not classify each other, nothing is known of others."""

_SHARE_OF_VARIANCE = 0.9

_SMALLEST_SPREAD = 0.3
"""Of the root mean square spread of all values: one that hardly ever varies is not made as large as the others."""

_TINY = np.finfo(np.float32).tiny

Values = NDArray[np.float32]


class ReverseValidation:
    """Rows without labels, and held-out rows that they are to classify. `of` makes one where this is possible.

    Args:
        own: values of the rows, shape (n, directions).
        known: those of the held-out rows, shape (m, directions).
        classes: of the held-out rows, shape (m,).

    Attributes:
        rows: how many rows classify, at most `MAX_ROWS`.
    """

    def __init__(self, own: Values, known: Values, classes: Classes) -> None:
        self._own, self._known, self._classes = own, known, classes
        self.rows = len(own)
        self._size = min(len(own), len(known) // 2)
        parts = _parts(len(known), self._size)
        self._usual = float(np.mean([self._without(part) for part in parts]))

    @classmethod
    def of(cls, rows: Arrays, held_out: Arrays, classes: Classes) -> Self | None:
        """None for inputs that are no floating-point numbers, too few rows, or such as do not classify each other.

        Args:
            rows: for every input, shape (n, ...).
            held_out: undisturbed ones, shape (m, ...).
            classes: of these, shape (m,).
        """
        is_real = all(np.issubdtype(values.dtype, np.floating) for values in rows.values())
        if not is_real or len(classes) < MIN_HELD_OUT_ROWS:
            return None
        known = _standardized(held_out)
        directions = _directions(known)
        found = cls(_standardized(rows) @ directions, known @ directions, classes[_spaced(len(classes))])
        return found if found._usual >= MIN_USUAL else None

    def score(self, predicted: Classes) -> float:
        """How well the rows classify the held-out rows, relative to as many undisturbed rows: 1 is as well, 0 chance.

        Args:
            predicted: classes of the rows, shape (n,).
        """
        predicted = predicted[_spaced(len(predicted))]
        found = [
            kappa(_classify(self._own[part], predicted[part], self._known), self._classes)
            for part in _parts(len(self._own), self._size)
        ]
        return float(np.mean(found)) / self._usual

    def _without(self, part: NDArray[np.int64]) -> float:
        """How well a part of the held-out rows classifies the others."""
        others = np.delete(np.arange(len(self._known)), part)
        return kappa(_classify(self._known[part], self._classes[part], self._known[others]), self._classes[others])


def _spaced(count: int) -> NDArray[np.int64]:
    """Positions of at most `MAX_ROWS` of so many rows, evenly spaced."""
    return np.linspace(0, count - 1, min(count, MAX_ROWS)).astype(np.int64)


def _parts(count: int, size: int) -> list[NDArray[np.int64]]:
    """Positions of rows in parts of `size` or a few more, drawn without regard to their order."""
    return np.array_split(np.random.default_rng(0).permutation(count), count // size)


def _standardized(rows: Arrays) -> Values:
    """Values of rows relative to their mean and spread, shape (rows, values)."""
    chosen = [found[_spaced(len(found))] for found in rows.values()]
    values = np.concatenate([found.reshape(len(found), -1) for found in chosen], axis=1).astype(np.float32)
    values -= values.mean(axis=0)
    spread = values.std(axis=0)
    values /= np.maximum(spread, max(_SMALLEST_SPREAD * np.sqrt(np.mean(spread**2)), _TINY))
    return values


def _directions(known: Values) -> Values:
    """Those of most variance, each scaled to the same variance, shape (values, directions)."""
    _, lengths, axes = np.linalg.svd(known, full_matrices=False)
    share = np.cumsum(lengths**2) / max(float(np.sum(lengths**2)), _TINY)
    count = min(int(np.searchsorted(share, _SHARE_OF_VARIANCE)) + 1, len(lengths))
    scaled: Values = axes[:count].T / np.maximum(lengths[:count], _TINY)
    return scaled


def _classify(fitted: Values, classes: Classes, rows: Values) -> Classes:
    """The class of each row, by the mean rows of others, whose classes are given."""
    present = np.unique(classes)
    means = np.array([fitted[classes == one].mean(axis=0) for one in present])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), _TINY)
    nearest: Classes = present[(rows @ means.T).argmax(axis=1)]
    return nearest
