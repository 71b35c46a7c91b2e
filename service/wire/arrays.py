"""Arrays between processes and in files: some JSON, then arrays by name, without pickle."""

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

import numpy as np
import orjson

from models.datatypes import Array


def write(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """A line of JSON with the header and the size of each array, then each array in numpy's .npy format.

    Raises:
        ValueError: an array holds Python objects.
    """
    files = {name: _file(array) for name, array in arrays.items()}
    line = orjson.dumps([header, {name: len(data) for name, data in files.items()}])
    return b"".join((line, b"\n", *files.values()))


def read(file: IO[bytes]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays that `write` has written. Reads not a byte more.

    Raises:
        ValueError: the bytes are something else, or end early.
    """
    header, sizes = orjson.loads(file.readline())
    return header, {name: _array(file.read(size), size) for name, size in sizes.items()}


def _array(data: bytes, size: int) -> Array:
    if len(data) < size:
        raise ValueError("the bytes end early")
    array: Array = np.load(BytesIO(data), allow_pickle=False)
    return array


def _file(array: Array) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
