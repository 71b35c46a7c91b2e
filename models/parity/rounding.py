"""How far rounding alone moves what a graph computes: the bound of every comparison follows from it.

A deep network in float32 amplifies the rounding of its operations, some by a hundred thousand. No fixed bound tells
that from a fault: what is noise in one network is a wrong weight in another. So the source graph is compared with
itself: every value of its inputs moves to a neighbouring number of its type, up or down at random, after which each
operation rounds differently (Monte Carlo arithmetic, Parker 1997). The change is as large as the error of the graph
against float64, and needs no second implementation of its operators. The folded graph rounds differently as well, and
may differ by `FACTOR` times as much.
"""

from collections.abc import Iterable

import numpy as np
import onnx

from models.datatypes import FLOATING, Array, Arrays, to_numpy
from models.graph.nodes import integer, is_standard
from models.parity.comparison import Difference

FACTOR = 10.0
"""The folded ResNet-18 and ResNet-50 differ from their sources by up to 2.75 times this change; a fault by far more."""

SMALLEST = 1e-5
"""The least tolerance, about 80 units in the last place of float32. Integers are not rounded, and inputs that reach an
output by few operations say little of the rounding of weights."""

_UNITS = {onnx.TensorProto.FLOAT16: 2.0**-10, onnx.TensorProto.BFLOAT16: 2.0**-7}
"""Of types that a graph may compute in, although its inputs are of a wider one: Keras' mixed precision."""

_FLOATING = frozenset(map(to_numpy, FLOATING))

FOLDED_FACTOR = 10.0
"""Of a re-calibrated `convnet`, moments differ by 0.9 to 1.1 times what onnxruntime's own fold changes."""

LARGEST_OF_MOMENTS = 1e-4
"""The largest bound that follows from onnxruntime's fold; a single wrong weight moves moments by more."""

LARGEST_OF_SUMS = 1e-3
"""The largest change of a moment when onnxruntime adds the values of a channel up one after the other: of equal values
4e-5 for 56 x 56 positions, 9e-5 for 112 x 112 and 7e-4 for 224 x 224."""

LARGEST = 0.1
"""The largest tolerance. What a graph computes that rounding moves further cannot be compared in its own type."""


def measure(pairs: Iterable[tuple[Arrays, Arrays]]) -> dict[str, float]:
    """The largest change of each tensor, relative to its largest value.

    Args:
        pairs: what the source graph computes of rows, and of the same rows after `round_differently`.
    """
    largest: dict[str, float] = {}
    for before, after in pairs:
        for name, values in before.items():
            largest[name] = max(largest.get(name, 0.0), Difference.between(values, after[name]).relative)
    return largest


def tolerance(rounding: float) -> float:
    """Bound on the difference of a tensor that rounding moves so far, both relative to its largest value."""
    if np.isnan(rounding):  # refused at any bound
        return SMALLEST
    return float(np.clip(FACTOR * rounding, SMALLEST, LARGEST))


def moment_tolerance(bound: float, folded: float) -> float:
    """Bound on the difference of a layer's moments.

    Args:
        bound: that follows from the rounding of the inputs.
        folded: change when onnxruntime folds the layers of the source graph, relative to the largest moment. It folds
            as we do, so that ours may differ by `FOLDED_FACTOR` times as much; one that it gets wrong proves nothing.
    """
    return max(bound, min(FOLDED_FACTOR * folded, LARGEST_OF_MOMENTS))


def narrowest_unit(model: onnx.ModelProto) -> float:
    """Relative distance of neighbouring numbers of the narrowest float type that a graph casts to; 0 without such."""
    casts = (node for node in model.graph.node if is_standard(node, "Cast"))
    return max((_UNITS.get(integer(node, "to", 0), 0.0) for node in casts), default=0.0)


def round_differently(rows: Arrays, seed: int, unit: float = 0.0) -> Arrays:
    """The rows, every floating-point number moved to the next one, up or down at random.

    Args:
        rows: inputs of a graph.
        seed: of the directions.
        unit: relative distance of the next number, where that of the rows' own type is smaller: a graph may compute in
            half precision what it is given in float32.
    """
    generator = np.random.default_rng(seed)
    return {
        name: _neighbours(values, generator, unit) if values.dtype in _FLOATING else values
        for name, values in rows.items()
    }


def _neighbours(values: Array, generator: np.random.Generator, unit: float) -> Array:
    is_down = generator.random(values.shape) < 0.5
    direction = np.where(is_down, -np.inf, np.inf).astype(values.dtype)
    moved: Array = np.asarray(np.nextafter(values, direction))  # of a scalar as well
    further: Array = np.asarray(values + np.where(is_down, -unit, unit).astype(values.dtype) * np.abs(values))
    return np.where(np.abs(further - values) > np.abs(moved - values), further, moved)
