"""Reads the layers and weights of a ``.keras`` file: a zip of JSON and HDF5. Needs h5py, and no Keras.

Keras' momentum is the fraction of the running value that is kept, as here; its epsilon is 1e-3 unless it is set.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.datatypes import Array
from models.errors import InvalidInput
from models.importing.trained import TrainedLayer, TrainedParameters, TrainedWeight

Config = dict[str, Any]

_Found = tuple[str, str, Config, list[Array]]
"""Name, class, settings and variables of a layer."""

_USUAL_MOMENTUM = 0.99
"""Of Keras."""

_NUMBER = re.compile(r"_\d+$")


def read(path: Path) -> TrainedParameters:
    """The layers and weights of a file that ``model.save("....keras")`` wrote.

    Raises:
        InvalidInput: it is not such a file, h5py is not installed, or it has no layer.
    """
    try:
        import h5py  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise InvalidInput("reading a .keras file needs h5py: pip install 'denge[keras]'") from error
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))["config"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
                found = list(_walk(config, weights, "") if "layers" in config else _walk_undescribed(weights, ""))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} cannot be read as a .keras file, as model.save writes it: {error}") from error
    layers: list[TrainedLayer] = []
    kernels: list[TrainedWeight] = []
    for name, kind, settings, values in found:
        if kind == "BatchNormalization":
            layers.append(_norm_layer(name, settings, values))
        elif kind in _KERNELS and values:
            kernels.extend(_weights(name, kind, settings, values))
    if not layers:
        raise InvalidInput(f"{path} has no BatchNormalization layer: import the ONNX file alone")
    return TrainedParameters(path.name, tuple(layers), tuple(kernels))


def _walk(config: Config, group: Any, prefix: str) -> Iterator[_Found]:
    """The layers, those of nested models included."""
    stored = {}
    for child in group["layers"].values():
        if "vars" in child:
            stored[child["vars"].attrs.get("name")] = child
    for layer in config["layers"]:
        child = stored.get(layer["config"]["name"])
        if child is not None:
            yield from _walk_layer(layer, child, prefix)


def _walk_layer(layer: Config, group: Any, prefix: str) -> Iterator[_Found]:
    settings = layer["config"]
    name = f"{prefix}{settings['name']}"
    if "layers" in settings:
        yield from _walk(settings, group, f"{name}.")
    elif "layer" in settings and "layer" in group:  # a wrapper: TimeDistributed
        yield from _walk_layer(settings["layer"], group["layer"], f"{name}.")
    elif layer["class_name"] in _CLASSES:
        yield name, layer["class_name"], settings, _variables(group)
    else:
        yield from _walk_undescribed(group, f"{name}.")


def _walk_undescribed(group: Any, prefix: str) -> Iterator[_Found]:
    """The layers in the variables of a class of the user's own: their groups have the names of their classes."""
    for key, child in group.items():
        if key == "vars":
            continue
        given = child["vars"].attrs.get("name", "") if "vars" in child else ""
        name = f"{prefix}{given or key}"
        kind = next((found for part in (key, given) if (found := _BY_NAME.get(_NUMBER.sub("", str(part))))), None)
        values = [] if kind is None or "vars" not in child else _variables(child)
        if kind is not None and values:
            yield name, kind, _guess_settings(name, kind, values), values
        else:
            yield from _walk_undescribed(child, prefix if key == "layers" else f"{name}.")


def _guess_settings(name: str, kind: str, values: list[Array]) -> Config:
    """Settings that follow from the number of variables. The graph shows the epsilon (`TrainedLayer.match`)."""
    if kind != "BatchNormalization":
        return {"use_bias": len(values) > len(_KERNELS[kind])}
    if len(values) not in (2, 4):
        raise ValueError(
            f"layer '{name}' of a class that does not describe its layers has a scale or a shift, not both"
        )
    return {"scale": len(values) == 4, "center": len(values) == 4, "epsilon": None, "momentum": _USUAL_MOMENTUM}


def _variables(group: Any) -> list[Array]:
    variables = group["vars"]
    return [np.asarray(variables[str(index)]) for index in range(len(variables))]


def _norm_layer(name: str, settings: Config, values: list[Array]) -> TrainedLayer:
    remaining = iter(value.astype(np.float64) for value in values)
    gamma = next(remaining) if settings["scale"] else None
    beta = next(remaining) if settings["center"] else None
    mean, var = next(remaining), next(remaining)
    return TrainedLayer(
        name,
        np.ones_like(mean) if gamma is None else gamma,
        np.zeros_like(mean) if beta is None else beta,
        mean,
        var,
        eps=None if settings["epsilon"] is None else float(settings["epsilon"]),
        momentum=float(settings["momentum"]),
    )


def _weights(name: str, kind: str, settings: Config, values: list[Array]) -> Iterator[TrainedWeight]:
    bias = values[-1] if settings.get("use_bias", True) else None
    for index, layout in enumerate(_KERNELS[kind]):
        kernel = _LAYOUTS[layout](values[index])
        yield TrainedWeight(f"{name}.{layout}", kernel, bias if index == len(_KERNELS[kind]) - 1 else None)


def _depthwise(kernel: Array) -> Array:
    """(..., channels, multiplier) -> (channels * multiplier, 1, ...)."""
    values = np.moveaxis(kernel, (-2, -1), (0, 1))
    return values.reshape(-1, 1, *values.shape[2:])


_LAYOUTS = {
    "kernel": lambda kernel: np.moveaxis(kernel, (-1, -2), (0, 1)),  # (..., in, out), of a Conv or Dense
    "depthwise_kernel": _depthwise,
}

_KERNELS = {
    "Dense": ("kernel",),
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), ("kernel",)),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), ("kernel",)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), ("depthwise_kernel",)),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), ("depthwise_kernel", "kernel")),
}
"""Variables of each class that come before its bias. A transposed kernel (..., out, in) becomes (in, out, ...)."""

_CLASSES = frozenset({"BatchNormalization", *_KERNELS})

_BY_NAME = {re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\dD)(?=T)", "_", kind).lower(): kind for kind in _CLASSES}
"""Classes by the names that Keras gives to their layers: batch_normalization, conv2d_transpose."""
