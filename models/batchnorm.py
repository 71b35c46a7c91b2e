"""The batch-normalisation transform on arrays (Ioffe & Szegedy 2015, algorithms 1 and 2).

    y = gamma * (x - mean) / sqrt(var + eps) + beta          per channel

All arithmetic is float64. Statistics are taken over every axis but the channel axis. `momentum` here is always the
fraction *kept*, as in ONNX and Keras; torch states the fraction *replaced*, i.e. ``1 - momentum``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import InvalidInput

Float64 = NDArray[np.float64]


def scale_shift(gamma: Float64, beta: Float64, mean: Float64, var: Float64, eps: float) -> tuple[Float64, Float64]:
    """The layer as one affine map per channel, ``y = scale * x + shift``.

    Args:
        gamma, beta, mean, var: shape (C,), float64.
        eps: added to the variance before the root.

    Returns:
        ``scale`` and ``shift``, shape (C,), float64.
    """
    scale = gamma / np.sqrt(var + eps)
    return scale, beta - mean * scale


@dataclass(frozen=True)
class BatchStatistics:
    """Statistics of a mini-batch per channel.

    Attributes:
        count: values per channel, i.e. the batch's rows times its positions.
        mean: shape (C,), float64.
        var: shape (C,), float64, biased (divided by ``count``), which is what normalises the batch.
    """

    count: int
    mean: Float64
    var: Float64

    @property
    def unbiased_var(self) -> Float64:
        """Shape (C,): divided by ``count - 1`` (Bessel), which is what torch stores as `running_var`."""
        return self.var * (self.count / (self.count - 1))


def statistics(x: ArrayLike, axis: int = 1) -> BatchStatistics:
    """Mean and biased variance per channel, in two passes, so that a large mean costs no precision.

    Args:
        x: shape (N, C, ...) with the channels on `axis`.

    Raises:
        InvalidInput: there are fewer than two values per channel, which have no variance.
    """
    values = np.asarray(x, dtype=np.float64)
    channels = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    count = channels.shape[1]
    if count < 2:
        raise InvalidInput(
            f"batch statistics need at least 2 values per channel, got {count}: "
            "send more rows, or use running statistics"
        )
    mean = channels.mean(axis=1)
    var = np.square(channels - mean[:, None]).mean(axis=1)
    return BatchStatistics(count, mean, var)


def normalize(
    x: ArrayLike,
    mean: Float64,
    var: Float64,
    gamma: Float64 | None = None,
    beta: Float64 | None = None,
    eps: float = 1e-5,
    axis: int = 1,
) -> Float64:
    """Apply the transform with the given statistics.

    Args:
        x: any rank of 2 or more, channels on `axis`.
        mean, var: shape (C,).
        gamma, beta: shape (C,); 1 and 0 when absent (torch's ``affine=False``).
        eps: added to the variance.
        axis: of the channels.

    Returns:
        The shape of `x`, float64.
    """
    values = np.asarray(x, dtype=np.float64)
    shape = [1] * values.ndim
    shape[axis] = -1
    # Subtracting the mean first, instead of using `scale_shift`, keeps the digits of inputs far from zero.
    y = (values - mean.reshape(shape)) / np.sqrt(var + eps).reshape(shape)
    if gamma is not None:
        y *= gamma.reshape(shape)
    if beta is not None:
        y += beta.reshape(shape)
    return y


def update_running(running: Float64, observed: Float64, momentum: float) -> Float64:
    """One step of the exponential moving average: ``momentum * running + (1 - momentum) * observed``, shape (C,)."""
    return momentum * running + (1.0 - momentum) * observed
