"""Synthetic shifts of held-out rows: known damage, on which an estimate of accuracy learns what its signs mean.

Nothing is assumed of what rows are: the last two axes of rows with three axes or more count as positions, as do the
features of a plain row. Mild and strong forms of each kind are there, since what matters is how accuracy falls.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64


class Shift(NamedTuple):
    """Rows after some damage.

    Attributes:
        kind: of the damage.
        rows: shape (n, ...), of the type of the rows that were given.
    """

    kind: str
    rows: NDArray[Any]


def shifts(rows: NDArray[Any], seed: int = 0) -> Iterator[Shift]:
    """Damage rows in several ways, each to several degrees.

    Args:
        rows: numbers, shape (n, ...), n at least 1.
        seed: of the random ones.
    """
    random = np.random.default_rng(seed)
    values = rows.astype(np.float64)
    for kind, damaged in (*_damage_values(values, random), *_damage_positions(values, random)):
        yield Shift(kind, damaged.astype(rows.dtype))


def _damage_values(x: Float64, random: np.random.Generator) -> Iterator[tuple[str, Float64]]:
    spread, low, high = float(x.std()), float(x.min()), float(x.max())
    centre = x.mean(axis=tuple(range(1, x.ndim)), keepdims=True)
    for amount in (0.2, 0.5, 1.0, 1.6):
        yield "noise", x + amount * spread * random.standard_normal(x.shape)
    for amount in (0.04, 0.12, 0.25, 0.4):
        drawn = random.random(x.shape)
        yield "impulse", np.where(drawn < amount / 2, low, np.where(drawn < amount, high, x))
    for amount in (0.6, 0.35, 0.2, 0.1):
        yield "contrast", centre + amount * (x - centre)
    for amount in (0.3, 0.8, 1.5, 2.5):
        yield "offset", x + amount * spread
    for amount in (0.3, 0.8):
        yield "negative offset", x - amount * spread
    for factor in (1.5, 3.0):
        yield "gain", x * factor


def _damage_positions(x: Float64, random: np.random.Generator) -> Iterator[tuple[str, Float64]]:
    for width in (3, 5, 9):
        yield "blur", _blur(x, width)
    for share in (0.15, 0.3, 0.45):
        yield "block", _cover(x, share, float(x.min()), random)
    for steps in (1, 2, 3, 5):
        yield "roll", np.roll(x, steps, axis=-1)
    for share in (0.3, 0.6):
        yield "mask", x * (random.random(x.shape) > share)


def _positions(x: Float64) -> tuple[int, ...]:
    return tuple(range(max(1, x.ndim - 2), x.ndim))


def _blur(x: Float64, width: int) -> Float64:
    """The mean of the neighbours along each axis of positions."""
    for axis in _positions(x):
        x = np.mean([np.roll(x, step, axis=axis) for step in range(-(width // 2), width // 2 + 1)], axis=0)
    return x


def _cover(x: Float64, share: float, value: float, random: np.random.Generator) -> Float64:
    """A block of this share of each axis of positions, at a random place of each row, takes the value."""
    covered = x.copy()
    for row in covered:
        block = [slice(None)] * row.ndim
        for axis in _positions(x):
            size = row.shape[axis - 1]
            side = max(1, int(share * size))
            start = int(random.integers(size - side + 1))
            block[axis - 1] = slice(start, start + side)
        row[tuple(block)] = value
    return covered
