"""Requests and responses of batch normalisation: a mini-batch, and the parameters and statistics to normalise with."""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models import batchnorm
from models.errors import InvalidInput, TooLarge
from models.manifest import NormLayer
from service.wire import json_writer
from service.wire.json_arrays import to_array, to_json
from service.wire.json_object import parse_object, require_choice, require_integer, require_known, require_number
from service.wire.long_list import LongList

Float64 = NDArray[np.float64]
Statistics = Literal["batch", "running"]
Convention = Literal["torch", "keras"]


@dataclass(frozen=True)
class _Defaults:
    """The defaults of a framework.

    Attributes:
        axis: of the channels.
        eps: added to the variance.
        momentum: as the framework states it.
        unbiased: whether it stores the unbiased variance as the running one.
    """

    axis: int
    eps: float
    momentum: float
    unbiased: bool


_DEFAULTS: dict[Convention, _Defaults] = {
    "torch": _Defaults(axis=1, eps=1e-5, momentum=0.1, unbiased=True),
    "keras": _Defaults(axis=-1, eps=1e-3, momentum=0.99, unbiased=False),
}

_MAX_VALUES = 1 << 21
"""Normalising takes the memory of several arrays of doubles."""

_LAYER_MEMBERS = ("data", "statistics", "axis")
_MEMBERS = (*_LAYER_MEMBERS, "convention", "gamma", "beta", "running_mean", "running_var", "eps", "momentum")


@dataclass(frozen=True)
class NormalizeRequest:
    """A mini-batch and everything that batch normalisation needs.

    Attributes:
        data: shape (N, C, ...), or with the channels on another axis.
        statistics: of the batch, or the running ones.
        axis: of the channels, not negative.
        gamma, beta, running_mean, running_var: shape (C,).
        momentum: the fraction of the running statistics that an update keeps.
        unbiased: whether an update takes the unbiased variance of the batch.
    """

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
    """Decode and validate a request with its own parameters. Absent ones are those of a new layer of its convention.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = parse_object(body)
    require_known(request, _MEMBERS)
    convention: Convention = _choice(request, "convention", ("torch", "keras"), "torch")
    statistics: Statistics = _choice(request, "statistics", ("batch", "running"), "batch")
    defaults = _DEFAULTS[convention]
    data, axis = _data(request, defaults.axis)
    num_features = data.shape[axis]
    if statistics == "running":
        for name in ("running_mean", "running_var"):
            if name not in request:
                raise InvalidInput("missing, expected with 'statistics': 'running'", name)
    running_mean = _channels(request, "running_mean", num_features)
    running_var = _channels(request, "running_var", num_features)
    if running_var is not None and running_var.min(initial=0.0) < 0:
        raise InvalidInput(f"got {running_var.min():g}, expected no negative variance", "running_var")
    momentum = require_number(request.get("momentum", defaults.momentum), "momentum")
    if not 0 <= momentum <= 1:
        raise InvalidInput(f"got {momentum:g}, expected a number from 0 to 1", "momentum")
    eps = require_number(request.get("eps", defaults.eps), "eps")
    if eps <= 0:
        raise InvalidInput(f"got {eps:g}, expected a number greater than 0", "eps")
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
    """Decode and validate a request that is normalised with the parameters of a layer.

    Raises:
        InvalidInput: anything about the request is wrong; the field says what.
    """
    request = parse_object(body)
    require_known(request, _LAYER_MEMBERS)
    statistics: Statistics = _choice(request, "statistics", ("batch", "running"), "running")
    data, axis = _data(request, 1)
    if data.shape[axis] != layer.num_features:
        raise InvalidInput(
            f"got {data.shape[axis]} channels on axis {axis}, layer '{layer.name}' expects {layer.num_features}", "data"
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


def respond(request: NormalizeRequest) -> bytes:
    """Normalise, and encode the response.

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
    data = batchnorm.normalize(request.data, mean, var, request.gamma, request.beta, request.eps, request.axis)
    body["data"] = to_json(data)
    return json_writer.dumps(body)


def _choice(request: dict[str, Any], name: str, choices: tuple[str, ...], default: str) -> Any:
    return require_choice(request.get(name, default), name, choices)


def _data(request: dict[str, Any], default_axis: int) -> tuple[Float64, int]:
    given = request.get("data")
    if isinstance(given, LongList) and (count := prod(given.shape("data"))) > _MAX_VALUES:
        raise TooLarge(f"got {count} values, expected at most {_MAX_VALUES}", "data")
    data = to_array(given, "FP64", "data")
    if data.ndim < 2 or data.size == 0:
        raise InvalidInput(f"got shape {list(data.shape)}, expected a mini-batch of shape (N, C, ...)", "data")
    axis = require_integer(request.get("axis", default_axis), "axis", -data.ndim, data.ndim - 1)
    return data, axis % data.ndim


def _channels(request: dict[str, Any], name: str, num_features: int) -> Float64 | None:
    if request.get(name) is None:
        return None
    values = to_array(request[name], "FP64", name)
    if values.shape != (num_features,):
        raise InvalidInput(f"got shape {list(values.shape)}, expected [{num_features}]: one number per channel", name)
    return values
