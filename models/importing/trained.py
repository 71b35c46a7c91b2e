"""The parameters of a trained network, as its own file keeps them, and how a graph's numbers are recognised in them.

An exporter may merge a layer into others, and its statistics are lost. The file that the network was trained into (a
state dict, a ``.keras`` file) still has them. What a graph keeps of a layer is ``y = scale * x + shift``, with

    scale = gamma / sqrt(var + eps)        shift = beta - mean * scale

so the layer that a pair of scale and shift comes from is the one that gives the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64, scale_shift
from models.datatypes import Array

USUAL_EPS = (1e-5, 1e-3)
"""Of torch and of Keras."""

ROUNDINGS = 32
"""Tolerance of a comparison, in units in the last place of the graph's type. An exporter rounds a handful of times; an
epsilon of 1e-3 in place of 1e-5 differs by thousands."""


@dataclass(frozen=True)
class TrainedLayer:
    """One batch-normalisation layer.

    Attributes:
        name: unique in the file.
        gamma, beta, mean, var: shape (C,), float64.
        eps: None where the file does not have it, as in a state dict.
        momentum: fraction of the running value kept at each training step.
    """

    name: str
    gamma: Float64
    beta: Float64
    mean: Float64
    var: Float64
    eps: float | None = None
    momentum: float = 0.9

    def match(self, scale: Float64, shift: Float64, unit: float, before: Float64 | float = 0.0) -> float | None:
        """The epsilon with which this layer gives the scale and shift, or None if there is none.

        Args:
            scale, shift: shape (C,).
            unit: relative rounding error of one operation in the graph's type, e.g. 1.2e-7 in float32.
            before: bias of the convolution that the layer was merged into, shape (C,): the shift then includes
                ``before * scale``.
        """
        if scale.shape != self.gamma.shape:
            return None
        for eps in (self.eps,) if self.eps is not None else self._candidates(scale):
            own_scale, own_shift = scale_shift(self.gamma, self.beta, self.mean, self.var, eps)
            allowed = ROUNDINGS * unit
            size = np.abs(self.beta) + (np.abs(self.mean) + np.abs(before)) * np.abs(own_scale)
            if (np.abs(scale - own_scale) <= allowed * np.abs(own_scale)).all() and (
                np.abs(shift - own_shift - before * own_scale) <= allowed * size + np.finfo(np.float32).tiny
            ).all():
                return eps
        return None

    def _candidates(self, scale: Float64) -> Sequence[float]:
        """Usual epsilons, and the one that the scales imply: ``(gamma / scale)^2 - var``, to one digit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            implied = np.median((self.gamma / scale) ** 2 - self.var)
        return USUAL_EPS if not implied > 0 else (*USUAL_EPS, float(f"{implied:.0e}"), float(implied))


@dataclass(frozen=True)
class TrainedWeight:
    """The weight of a convolution or linear layer, and its bias.

    Attributes:
        name: unique in the file.
        value: in torch's layout: output channels first, (O, I) for a linear layer; (I, O, ...) if it is transposed.
        bias: shape (O,), or None.
    """

    name: str
    value: Array
    bias: NDArray[np.generic] | None = None


@dataclass(frozen=True)
class TrainedParameters:
    """What a file of a trained network has.

    Attributes:
        source: name of the file, for messages.
        layers: its batch-normalisation layers.
        weights: of its convolutions and linear layers.
    """

    source: str
    layers: tuple[TrainedLayer, ...]
    weights: tuple[TrainedWeight, ...]
