"""Reads the state dict of a torch network from a .safetensors file. No pickle, and no torch."""

from pathlib import Path

import numpy as np

from models.batchnorm import Float64
from models.datatypes import Array
from models.errors import InvalidInput
from models.importing.trained import TrainedLayer, TrainedParameters, TrainedWeight

FIELD = "state-dict"

NOT_SAFETENSORS = (
    "cannot be read as safetensors. Files of torch.save are pickle, and never read: write the weights by "
    "safetensors.torch.save_file(network.state_dict(), path)"
)
"""What follows the path in the message."""

_STATISTICS = ("running_mean", "running_var")


def read(path: Path) -> TrainedParameters:
    """The layers and weights of a state dict.

    A layer is whatever has a ``running_mean`` and a ``running_var``. Its epsilon is not in a state dict, and is found
    when the layer is recognised in a graph. The prefix ``module.``, as DataParallel writes it, is removed.

    Raises:
        InvalidInput: the file is not a .safetensors file, or has no layer.
    """
    tensors = _read_tensors(path)
    prefixes = [name.removesuffix(".running_mean") for name in tensors if name.endswith(".running_mean")]
    layers = tuple(_layer(prefix, tensors) for prefix in prefixes if f"{prefix}.running_var" in tensors)
    if not layers:
        raise InvalidInput(f"{path} has no layer with running_mean and running_var", FIELD)
    weights = tuple(
        TrainedWeight(name, values, tensors.get(f"{name.removesuffix('.weight')}.bias"))
        for name, values in tensors.items()
        if name.endswith(".weight") and values.ndim > 1
    )
    return TrainedParameters(path.name, layers, weights)


def _read_tensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - an optional dependency

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except (SafetensorError, OSError) as error:
        raise InvalidInput(f"{path} {NOT_SAFETENSORS} ({error})", FIELD) from error
    first = next(iter(tensors), "").partition(".")[0] + "."
    if first == "module." and all(name.startswith(first) for name in tensors):
        return {name.removeprefix(first): values for name, values in tensors.items()}
    return tensors


def _layer(name: str, tensors: dict[str, Array]) -> TrainedLayer:
    mean, var = (_exact(tensors[f"{name}.{key}"]) for key in _STATISTICS)
    gamma, beta = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    return TrainedLayer(
        name,
        np.ones_like(mean) if gamma is None else _exact(gamma),
        np.zeros_like(mean) if beta is None else _exact(beta),
        mean,
        var,
    )


def _exact(values: Array) -> Float64:
    return values.astype(np.float64)
