"""The binary tensor extension of the Open Inference Protocol: raw little-endian tensors behind the JSON part."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Datatype, to_numpy
from models.errors import InvalidInput

Array = NDArray[Any]


def split(body: bytes, header_length: str) -> tuple[bytes, memoryview]:
    """The JSON part and the raw tensors of a body.

    Args:
        body: all of it.
        header_length: value of the header `Inference-Header-Content-Length`: how long the JSON part is.

    Raises:
        InvalidInput: the length is not a whole number within the body.
    """
    # isdecimal alone would let other scripts' digits through.
    length = (
        int(header_length) if header_length.isascii() and header_length.isdecimal() and len(header_length) < 12 else -1
    )
    if not 0 <= length <= len(body):
        raise InvalidInput(f"must be between 0 and the body's {len(body)} bytes", "Inference-Header-Content-Length")
    return body[:length], memoryview(body)[length:]


def size_of(datatype: Datatype, shape: Sequence[int]) -> int:
    """Bytes of a tensor."""
    return prod(shape) * to_numpy(datatype).itemsize


def read(raw: memoryview, datatype: Datatype, shape: Sequence[int], field: str) -> Array:
    """One tensor from exactly its bytes. The array is a read-only view of them where the machine's order allows.

    Raises:
        InvalidInput: the bytes are too few or too many for the shape, or a boolean is neither 0 nor 1.
    """
    dtype = to_numpy(datatype).newbyteorder("<")
    expected = size_of(datatype, shape)
    if len(raw) != expected:
        raise InvalidInput(f"{len(raw)} bytes, but {datatype} of shape {list(shape)} takes {expected}", field)
    if datatype == "BOOL" and np.frombuffer(raw, dtype=np.uint8).max(initial=0) > 1:
        raise InvalidInput("a BOOL must be 0 or 1", field)
    array: Array = np.frombuffer(raw, dtype=dtype).reshape(shape)
    return array.astype(to_numpy(datatype), copy=False)


def write(array: Array) -> bytes:
    """The bytes of a tensor, little-endian and row-major."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
