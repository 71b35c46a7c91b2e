"""Rows of a population whose distribution is known, and the reference that some of them give."""

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.drift.calibration import estimate
from models.manifest import DriftReference
from models.observation import RowStatistics

CLASSES = 4
WIDTHS = {"first": 6, "second": 10}
Rows = dict[str, RowStatistics]


def population(
    rows: int, seed: int, shares: tuple[float, ...] = (0.25,) * 4, shift: float = 0.0
) -> tuple[Rows, object]:
    """Rows whose means depend on their class and on each other, in two layers; skewed, as activations are."""
    random = np.random.default_rng(seed)
    labels = random.choice(CLASSES, size=rows, p=shares)
    centres = np.random.default_rng(1).normal(size=(CLASSES, 16))
    common = random.normal(size=(rows, 1))
    z = 0.6 * centres[labels] + 0.5 * common + random.gamma(2.0, 0.5, size=(rows, 16)) - 1 + shift
    square = np.square(z) + random.gamma(1.0, 0.3, size=z.shape)
    first, second = slice(0, 6), slice(6, 16)
    found = {
        "first": RowStatistics(z[:, first], square[:, first]),
        "second": RowStatistics(z[:, second], square[:, second]),
    }
    return found, labels


@cache
def reference() -> DriftReference:
    rows, labels = population(4000, seed=0)
    return estimate(rows, labels, CLASSES)


def fitted_halves(layers: Mapping[str, Any], rows: int, *_: object) -> list[Any]:
    """In place of `calibration._halves`, for controls: all rows are judged by what they themselves let expect."""
    expected = {name: layer.expected for name, layer in layers.items()}
    return [SimpleNamespace(rows=np.arange(rows), others=rows, expected=expected)] * 16
