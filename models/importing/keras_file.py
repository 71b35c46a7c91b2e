"""Reads the layers and weights of a ``.keras`` file: a zip of JSON and HDF5. Needs h5py, and no Keras.

Keras' momentum is the fraction of the running value that is kept, as here; its epsilon is 1e-3 unless it is set.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models.datatypes import Array
from models.errors import InvalidInput
from models.importing.trained import TrainedLayer, TrainedParameters, TrainedWeight

Config = dict[str, Any]


def read(path: Path) -> TrainedParameters:
    """The layers and weights of a file that ``model.save("....keras")`` wrote.

    Raises:
        InvalidInput: it is not such a file, h5py is not installed, or the model is of the user's own class, which does
            not describe its layers.
    """
    try:
        import h5py  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise InvalidInput("reading a .keras file needs h5py: pip install 'denge[keras]'") from error
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))["config"]
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
                found = list(_walk(config, weights, ""))
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
        raise InvalidInput(
            f"{path} has no BatchNormalization layer, or is of a class that does not describe its layers"
        )
    return TrainedParameters(path.name, tuple(layers), tuple(kernels))


def _walk(config: Config, group: Any, prefix: str) -> Iterator[tuple[str, str, Config, list[Array]]]:
    """Name, class, settings and variables of each layer, those of nested models included."""
    stored = {}
    for child in group["layers"].values():
        if "vars" in child:
            stored[child["vars"].attrs.get("name")] = child
    for layer in config.get("layers", ()):
        settings = layer["config"]
        name = settings["name"]
        child = stored.get(name)
        if child is None:
            continue
        if "layers" in settings:
            yield from _walk(settings, child, f"{prefix}{name}.")
        else:
            variables = child["vars"]
            values = [np.asarray(variables[str(index)]) for index in range(len(variables))]
            yield f"{prefix}{name}", layer["class_name"], settings, values


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
        eps=float(settings["epsilon"]),
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
