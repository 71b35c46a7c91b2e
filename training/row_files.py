"""Rows for a model from numpy files. Pickled arrays are refused."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.datatypes import Array, Arrays, to_numpy
from models.errors import InvalidInput
from models.manifest import ImagePreprocessing, TensorSpec
from models.preprocessing import prepare_pixels


def read(
    path: Path, field: str, inputs: Sequence[TensorSpec], preprocessing: ImagePreprocessing | None = None
) -> Arrays:
    """Rows for every input of a model.

    Args:
        path: an .npy file, for a model of one input, or an .npz file with an array for each input. An array of uint8
            for an input of floats is taken for pixels where there is a preprocessing.
        field: what the file was given as, for errors.
        inputs: of the model.
        preprocessing: how pixels become rows.

    Raises:
        InvalidInput: the file cannot be read, or does not have an array for each input.
    """
    found = load(path, field)
    if isinstance(found, np.ndarray):
        found = {single_input(inputs, field).name: found}
    specs = {spec.name: spec for spec in inputs}
    if found.keys() != specs.keys():
        raise InvalidInput(
            f"{path} must have an array for each input: {', '.join(specs)}; it has {', '.join(found)}", field
        )
    return {name: _convert(values, specs[name], field, preprocessing) for name, values in found.items()}


def load(path: Path, field: str) -> Array | Arrays:
    """The array of an .npy file, or those of an .npz file by name.

    Raises:
        InvalidInput: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            return found if isinstance(found, np.ndarray) else dict(found)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path} cannot be read as an .npy or .npz file: {error}", field) from error


def single_input(inputs: Sequence[TensorSpec], field: str) -> TensorSpec:
    """The only input of a model.

    Raises:
        InvalidInput: it has several.
    """
    if len(inputs) != 1:
        raise InvalidInput("the model has several inputs: give an .npz file with an array for each", field)
    return inputs[0]


def _convert(values: Array, spec: TensorSpec, field: str, preprocessing: ImagePreprocessing | None) -> Array:
    wanted = to_numpy(spec.datatype)
    if preprocessing is not None and values.dtype == np.uint8 and np.issubdtype(wanted, np.floating):
        shape = (-1, len(preprocessing.mean), preprocessing.height, preprocessing.width)
        try:
            pixels = values.reshape(shape)
        except ValueError as error:
            raise InvalidInput(f"{list(values.shape)} bytes are not images of {list(shape[1:])}", field) from error
        exact = prepare_pixels(pixels, preprocessing, np.float64)  # rounded once, to whatever the input takes
        return exact.astype(wanted).reshape(-1, *spec.shape[1:])
    return values.astype(wanted) if np.can_cast(values.dtype, wanted, "same_kind") else values
