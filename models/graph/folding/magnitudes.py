"""How large the numbers of a layer may be, so that folding does not hide others in their rounding."""

import numpy as np

from models.batchnorm import Float64
from models.graph.folding.channel_map import Refusal

LARGEST_SCALE = 1e6
"""A layer with a larger scale amplifies rounding errors rather than signals; folding would hide that in the weights."""

_LARGEST_SHIFT = 100.0
"""|beta / gamma| of a layer at whose input others read: they would have to take a larger shift away again."""

_SMALLEST_SCALE = 0.01
"""|gamma| of a layer by whose scale what is added to its output is divided."""


def require_recoverable(gamma: Float64, beta: Float64) -> None:
    """Check that others can read what the output of a layer takes the place of.

    Raises:
        Refusal: it would be lost in rounding.
    """
    if not (np.abs(beta) <= _LARGEST_SHIFT * np.abs(gamma)).all():
        raise Refusal("its shift would hide in rounding what others read of its input")


def require_divisible(gamma: Float64) -> None:
    """Check that what is added to the output of a layer can be divided by its scale.

    Raises:
        Refusal: it would become too large.
    """
    if (np.abs(gamma) < _SMALLEST_SCALE).any():
        raise Refusal("what is added to its output would have to be divided by almost 0")
