"""Mini-batches to normalise, with the statistics to do it by."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from models import batchnorm
from models.errors import InvalidInput
from models.manifest import NormLayer
from service.wire.json_values import parse_object, to_array

Float64 = NDArray[np.float64]
Statistics = Literal["batch", "running"]
Convention = Literal["torch", "keras"]


@dataclass(frozen=True)
class _Defaults:
    """What the two libraries take when nothing is said, and what they store as running variance."""

    axis: int
    eps: float
    kept: float
    unbiased: bool


_DEFAULTS: dict[Convention, _Defaults] = {
    "torch": _Defaults(axis=1, eps=1e-5, kept=0.9, unbiased=True),
    "keras": _Defaults(axis=-1, eps=1e-3, kept=0.99, unbiased=False),
}

_FIELDS = {
    "data",
    "statistics",
    "convention",
    "axis",
    "gamma",
    "beta",
    "running_mean",
    "running_var",
    "eps",
    "momentum",
}
_LAYER_FIELDS = {"data", "statistics", "axis"}


@dataclass(frozen=True)
class NormalizeRequest:
    """One mini-batch and everything that the transform needs. `momentum` is the fraction kept."""

    data: Float64
    statistics: Statistics
    axis: int
    gamma: Float64 | None
    beta: Float64 | None
    running_mean: Float64
    running_var: Float64
    eps: float
    momentum: float
    unbiased: bool


def decode(body: bytes) -> NormalizeRequest:
    """Read a request that brings its own parameters; what it leaves out is a fresh layer's of its convention.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = _known_fields(body, _FIELDS)
    convention: Convention = _one_of(request, "convention", ("torch", "keras"), "torch")
    statistics: Statistics = _one_of(request, "statistics", ("batch", "running"), "batch")
    defaults = _DEFAULTS[convention]
    data, axis = _data(request, defaults.axis)
    num_features = data.shape[axis]
    if statistics == "running":
        for name in ("running_mean", "running_var"):
            if name not in request:
                raise InvalidInput("is needed to normalise by running statistics", name)
    running_mean = _channels(request, "running_mean", num_features)
    running_var = _channels(request, "running_var", num_features)
    if running_var is not None and running_var.min(initial=0.0) < 0:
        raise InvalidInput("a variance cannot be negative", "running_var")
    momentum = _number(request, "momentum", 1.0 - defaults.kept if convention == "torch" else defaults.kept)
    if not 0 <= momentum <= 1:
        raise InvalidInput("must be between 0 and 1", "momentum")
    eps = _number(request, "eps", defaults.eps)
    if eps <= 0:
        raise InvalidInput("must be greater than 0", "eps")
    return NormalizeRequest(
        data=data,
        statistics=statistics,
        axis=axis,
        gamma=_channels(request, "gamma", num_features),
        beta=_channels(request, "beta", num_features),
        running_mean=np.zeros(num_features) if running_mean is None else running_mean,
        running_var=np.ones(num_features) if running_var is None else running_var,
        eps=eps,
        momentum=1.0 - momentum if convention == "torch" else momentum,
        unbiased=defaults.unbiased,
    )


def decode_for_layer(body: bytes, layer: NormLayer) -> NormalizeRequest:
    """Read a request that is normalised with a layer's own parameters.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = _known_fields(body, _LAYER_FIELDS)
    statistics: Statistics = _one_of(request, "statistics", ("batch", "running"), "running")
    data, axis = _data(request, 1)
    if data.shape[axis] != layer.num_features:
        raise InvalidInput(
            f"has {data.shape[axis]} channels on axis {axis}, layer '{layer.name}' has {layer.num_features}", "data"
        )
    return NormalizeRequest(
        data=data,
        statistics=statistics,
        axis=axis,
        gamma=np.array(layer.gamma),
        beta=np.array(layer.beta),
        running_mean=np.array(layer.running_mean),
        running_var=np.array(layer.running_var),
        eps=layer.eps,
        momentum=layer.momentum,
        unbiased=True,
    )


def answer(request: NormalizeRequest) -> bytes:
    """Normalise, and write the response.

    Raises:
        InvalidInput: the batch has too few values for statistics of its own.
    """
    body: dict[str, Any] = {"statistics": request.statistics}
    if request.statistics == "running":
        mean, var = request.running_mean, request.running_var
    else:
        batch = batchnorm.statistics(request.data, request.axis)
        mean, var = batch.mean, batch.var
        observed_var = batch.unbiased_var if request.unbiased else batch.var
        body |= {
            "batch": {"count": batch.count, "mean": mean, "variance": var},
            "running_mean": batchnorm.update_running(request.running_mean, mean, request.momentum),
            "running_var": batchnorm.update_running(request.running_var, observed_var, request.momentum),
        }
    body["data"] = batchnorm.normalize(request.data, mean, var, request.gamma, request.beta, request.eps, request.axis)
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _known_fields(body: bytes, known: set[str]) -> dict[str, Any]:
    request = parse_object(body)
    if unknown := sorted(set(request) - known):
        raise InvalidInput(f"is not a field, the fields are {sorted(known)}", unknown[0])
    return request


def _one_of(request: dict[str, Any], name: str, allowed: tuple[str, ...], default: str) -> Any:
    value = request.get(name, default)
    if value not in allowed:
        raise InvalidInput(f"must be one of {list(allowed)}", name)
    return value


def _data(request: dict[str, Any], default_axis: int) -> tuple[Float64, int]:
    data = to_array(request.get("data"), "FP64", "data")
    if data.ndim < 2:
        raise InvalidInput(f"must be a mini-batch of shape (N, C, ...), got shape {list(data.shape)}", "data")
    if data.size == 0:
        raise InvalidInput(f"is empty: shape {list(data.shape)}", "data")
    axis = request.get("axis", default_axis)
    if type(axis) is not int or not -data.ndim <= axis < data.ndim:
        raise InvalidInput(f"must be a whole number from {-data.ndim} to {data.ndim - 1}", "axis")
    return data, axis % data.ndim


def _channels(request: dict[str, Any], name: str, num_features: int) -> Float64 | None:
    if request.get(name) is None:
        return None
    values = to_array(request[name], "FP64", name)
    if values.shape != (num_features,):
        raise InvalidInput(f"must have {num_features} values, one a channel, got shape {list(values.shape)}", name)
    return values


def _number(request: dict[str, Any], name: str, default: float) -> float:
    value = request.get(name, default)
    if type(value) not in (int, float) or not np.isfinite(value):
        raise InvalidInput("must be a number", name)
    return float(value)
