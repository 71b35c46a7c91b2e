"""Rows for a model from files of numpy, of comma-separated numbers, of images or of texts. No pickles are read."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from models.datatypes import Array, Arrays, to_numpy
from models.errors import InvalidInput
from models.manifest import ImagePreprocessing, TensorSpec, Tokenization
from models.preprocessing import prepare_pixels, read_pixels
from models.tokenization import Tokenizer

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def read(
    path: Path,
    field: str,
    inputs: Sequence[TensorSpec],
    preprocessing: ImagePreprocessing | None = None,
    tokenization: Tokenization | None = None,
) -> Arrays:
    """Rows for every input of a model.

    Args:
        path: an .npy file, for a model of one input, or an .npz file with an array for each input. An array of uint8
            for an input of floats is taken for pixels where there is a preprocessing. Or a .csv file with a row in each
            line, for a model of one input of numbers; its first line may be names. Or a folder of PNG and JPEG files.
            Or a .txt file with a text in each line, for a model of texts.
        field: what the file was given as, for errors.
        inputs: of the model.
        preprocessing: how pixels become rows.
        tokenization: how texts become rows.

    Raises:
        InvalidInput: the file cannot be read, or does not have an array for each input.
    """
    if path.is_dir():
        return {single_input(inputs, field).name: _read_images(path, field, inputs, preprocessing)}
    if path.suffix.lower() == ".csv":
        spec = single_input(inputs, field)
        return {spec.name: _read_csv(path, field, spec)}
    if path.suffix.lower() == ".txt":
        return {single_input(inputs, field).name: _read_texts(path, field, tokenization)}
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


def _read_csv(path: Path, field: str, spec: TensorSpec) -> Array:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
        if lines and not _is_numeric(lines[0]):
            lines = lines[1:]
        values = np.loadtxt([line for line in lines if line.strip()], np.float64, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as lines of numbers, separated by commas: {error}", field) from error
    wanted = to_numpy(spec.datatype)
    if np.issubdtype(wanted, np.integer) and not (values == np.rint(values)).all():
        raise InvalidInput(f"{path} has fractions; '{spec.name}' takes {spec.datatype}", field)
    sizes = [size for size in spec.shape[1:] if size > 0]
    return values.astype(wanted).reshape(len(values), *(sizes if len(sizes) == len(spec.shape) - 1 else [-1]))


def _read_texts(path: Path, field: str, tokenization: Tokenization | None) -> Array:
    if tokenization is None:
        raise InvalidInput(f"{path} has texts, and the model takes none", field)
    try:
        texts = [line for line in path.read_text("utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as lines of text in UTF-8: {error}", field) from error
    return Tokenizer(tokenization).encode(texts, f"{field}: {path}")


def _is_numeric(line: str) -> bool:
    try:
        [float(value) for value in line.split(",")]
    except ValueError:
        return False
    return True


def _read_images(
    folder: Path, field: str, inputs: Sequence[TensorSpec], preprocessing: ImagePreprocessing | None
) -> Array:
    if preprocessing is None:
        raise InvalidInput(f"{folder} is a folder of images, and it is not said how they become rows", field)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InvalidInput(f"{folder} has no files that end in {', '.join(IMAGE_SUFFIXES)}", field)
    pixels = []
    for path in paths:
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                pixels.append(read_pixels(image, preprocessing))
        except (OSError, ValueError, SyntaxError) as error:
            raise InvalidInput(f"{path} cannot be read as a PNG or JPEG image: {error}", field) from error
    return _convert(np.stack(pixels), single_input(inputs, field), field, preprocessing)


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
