"""The largest difference between two runs of what should be one function.

A difference counts relative to the largest value of the same tensor: a value near zero among large ones carries their
rounding error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.datatypes import Array, Arrays
from models.errors import ParityError
from models.manifest import ParityComparison


@dataclass(frozen=True)
class Difference:
    """The largest difference of two arrays of one shape, as it is and relative to the largest expected value."""

    absolute: float
    relative: float

    @classmethod
    def between(cls, expected: Array, actual: Array) -> "Difference":
        """Of numbers, not a number if there is one among them; text is equal or differs by 1."""
        if expected.dtype == object:
            differs = float((actual != expected).any())
            return cls(differs, differs)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            absolute, scale = _largest(_exact(actual) - _exact(expected)), _largest(_exact(expected))
        return cls(absolute, absolute / scale if scale > 0 else absolute)


def compare(
    reference: str, candidate: str, pairs: Iterable[tuple[Arrays, Arrays]], tolerances: Mapping[str, float]
) -> ParityComparison:
    """The largest difference over pairs of (expected, actual) tensors.

    Args:
        reference, candidate: what the expected and the actual tensors come from, for the record and the message.
        pairs: tensors by name; those that are expected are compared.
        tolerances: bound on the difference of each, relative to its largest expected value.

    Raises:
        ParityError: a pair differs by more, in its shapes, or has a value that is not finite.
    """
    max_absolute = max_relative = largest_share = 0.0
    for expected, actual in pairs:
        for name, values in expected.items():
            if actual[name].shape != values.shape:
                raise ParityError(
                    f"{candidate}: '{name}' has shape {actual[name].shape} where {reference} has {values.shape}"
                )
            found, allowed = Difference.between(values, actual[name]), tolerances[name]
            # Stated so that a NaN, which is in no order with anything, fails.
            if not found.relative <= allowed:
                raise ParityError(
                    f"{candidate} differs from {reference}: '{name}' by {found.absolute:.3g}, "
                    f"which is {found.relative:.3g} of its largest value ({allowed:.3g} is allowed)"
                )
            max_absolute, max_relative = max(max_absolute, found.absolute), max(max_relative, found.relative)
            largest_share = max(largest_share, found.relative / allowed)
    return ParityComparison(
        reference=reference,
        candidate=candidate,
        max_absolute=max_absolute,
        max_relative=max_relative,
        share_of_tolerance=largest_share,
    )


def _exact(values: NDArray[np.generic]) -> Float64:
    return values.astype(np.float64)


def _largest(values: Float64) -> float:
    return float(np.abs(values).max(initial=0.0))
