"""The largest difference between two runs of what should be one function.

A difference counts relative to the largest value of the same output: an output near zero among large ones carries their
rounding error.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.datatypes import Arrays
from models.errors import ParityError
from models.manifest import ParityComparison

TOLERANCE = 1e-5
"""About 80 units in the last place of float32. Small networks differ by 1 to 10 of them; a forgotten bias or a wrong
epsilon makes far more."""

OBSERVED_TOLERANCE = 1e-6
"""Of the observed and the folded graph, whose weights are the same: they differ by onnxruntime's fusions alone."""


def compare(
    reference: str, candidate: str, pairs: Iterable[tuple[Arrays, Arrays]], tolerance: float
) -> ParityComparison:
    """The largest difference over pairs of (expected, actual) outputs.

    Args:
        reference, candidate: what the expected and the actual outputs come from, for the record and the message.
        pairs: outputs by name; text is equal or differs by 1.
        tolerance: bound on the difference, relative to the largest expected value of the same output.

    Raises:
        ParityError: a pair differs by more, in its shapes, or has a value that is not finite.
    """
    max_absolute = max_relative = 0.0
    for expected, actual in pairs:
        for name, values in expected.items():
            if actual[name].shape != values.shape:
                raise ParityError(
                    f"{candidate}: '{name}' has shape {actual[name].shape} where {reference} has {values.shape}"
                )
            if values.dtype == object:
                difference, scale = float((actual[name] != values).any()), 1.0
            else:
                with np.errstate(invalid="ignore"):  # infinity less infinity: refused below
                    difference, scale = _largest(_exact(actual[name]) - _exact(values)), _largest(_exact(values))
            relative = difference / scale if scale > 0 else difference
            # Stated so that a NaN, which is in no order with anything, fails.
            if not relative <= tolerance:
                raise ParityError(
                    f"{candidate} differs from {reference}: '{name}' by {difference:.3g}, "
                    f"which is {relative:.3g} of its largest value ({tolerance:g} is allowed)"
                )
            max_absolute, max_relative = max(max_absolute, difference), max(max_relative, relative)
    return ParityComparison(
        reference=reference, candidate=candidate, max_absolute=max_absolute, max_relative=max_relative
    )


def _exact(values: NDArray[np.generic]) -> Float64:
    return values.astype(np.float64)


def _largest(values: Float64) -> float:
    return float(np.abs(values).max(initial=0.0))
