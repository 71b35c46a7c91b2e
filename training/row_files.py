"""Rows for a model from files that its users have. Nothing that is pickled is read."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Arrays, to_numpy
from models.errors import InvalidInput
from models.manifest import ImagePreprocessing, TensorSpec


def read(
    path: Path, field: str, inputs: Sequence[TensorSpec], preprocessing: ImagePreprocessing | None = None
) -> Arrays:
    """Rows for every input of a model.

    Args:
        path: an .npy file, for a model of one input, or an .npz file with an array for each input. An array of bytes
            for an input of floats is taken for pixels, and prepared, where it is known how.
        field: what the caller was asked for, to name in errors.
        inputs: of the model.
        preprocessing: how pixels become rows.

    Raises:
        InvalidInput: there is no such file, or it does not have an array for each input.
    """
    found = load(path, field)
    if isinstance(found, np.ndarray):
        found = {only(inputs, field).name: found}
    specs = {spec.name: spec for spec in inputs}
    if found.keys() != specs.keys():
        raise InvalidInput(f"{path} must have an array for each input: {', '.join(specs)}", field)
    return {name: _prepared(values, specs[name], field, preprocessing) for name, values in found.items()}


def load(path: Path, field: str) -> NDArray[np.generic] | Arrays:
    """The array of an .npy file, or those of an .npz file by name.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else dict(found)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} cannot be read as an .npy or .npz file: {error}", field) from error


def only(inputs: Sequence[TensorSpec], field: str) -> TensorSpec:
    """The input of a model that has one.

    Raises:
        InvalidInput: it has several.
    """
    if len(inputs) != 1:
        raise InvalidInput("the model has several inputs: give an .npz file with an array for each", field)
    return inputs[0]


def _prepared(
    values: NDArray[np.generic], spec: TensorSpec, field: str, preprocessing: ImagePreprocessing | None
) -> NDArray[np.generic]:
    wanted = to_numpy(spec.datatype)
    if preprocessing is not None and values.dtype == np.uint8 and np.issubdtype(wanted, np.floating):
        shape = (-1, len(preprocessing.mean), preprocessing.height, preprocessing.width)
        try:
            pixels = values.reshape(shape)
        except ValueError as error:
            raise InvalidInput(f"{list(values.shape)} bytes are no images of {list(shape[1:])}", field) from error
        mean, std = (np.array(numbers)[:, None, None] for numbers in (preprocessing.mean, preprocessing.std))
        prepared = (pixels.astype(np.float64) * preprocessing.scale - mean) / std
        rows: NDArray[np.generic] = prepared.astype(wanted).reshape(-1, *spec.shape[1:])
        return rows
    return values.astype(wanted) if np.can_cast(values.dtype, wanted, "same_kind") else values
