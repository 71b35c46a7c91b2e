"""The binary tensor extension of the Open Inference Protocol: raw little-endian tensors behind the JSON part.

An element of BYTES is the length of its UTF-8 in four bytes, then the UTF-8.
"""

from collections.abc import Iterator, Sequence
from math import prod
from struct import Struct
from sys import byteorder

import numpy as np

from models.datatypes import Array, Datatype, to_numpy
from models.errors import InvalidInput

_LENGTH = 4
"""Bytes that the length of an element of BYTES takes."""

_IS_LITTLE_ENDIAN = byteorder == "little"  # as the tensors are

_length_at = Struct("<I").unpack_from


def split(body: bytes, header_length: str) -> tuple[bytes, memoryview]:
    """The JSON part and the raw tensors of a body.

    Args:
        body: the whole body.
        header_length: value of the header `Inference-Header-Content-Length`: bytes of the JSON part.

    Raises:
        InvalidInput: the length is not an integer within the body.
    """
    # isdecimal alone would let other scripts' digits through.
    length = (
        int(header_length) if header_length.isascii() and header_length.isdecimal() and len(header_length) < 12 else -1
    )
    if not 0 <= length <= len(body):
        raise InvalidInput(
            f"got '{header_length}', expected an integer from 0 to the {len(body)} bytes of the body",
            "Inference-Header-Content-Length",
        )
    return body[:length], memoryview(body)[length:]


def size_of(datatype: Datatype, shape: Sequence[int]) -> int:
    """Bytes of a tensor; of BYTES, the least that they can be."""
    if datatype == "BYTES":
        return prod(shape) * _LENGTH
    return prod(shape) * to_numpy(datatype).itemsize


def read(raw: memoryview, datatype: Datatype, shape: Sequence[int], field: str) -> Array:
    """One tensor from exactly its bytes. The array is a read-only view of them if the byte order of the machine allows.

    Raises:
        InvalidInput: the bytes are too few or too many for the shape, a boolean is neither 0 nor 1, or a text is not
            UTF-8.
    """
    if datatype == "BYTES":
        return _read_texts(raw, shape, field)
    dtype = to_numpy(datatype)
    expected = size_of(datatype, shape)
    if len(raw) != expected:
        raise InvalidInput(f"got {len(raw)} bytes, {datatype} of shape {list(shape)} takes {expected}", field)
    if datatype == "BOOL" and np.frombuffer(raw, dtype=np.uint8).max(initial=0) > 1:
        raise InvalidInput("got a byte above 1, BOOL is 0 or 1", field)
    if _IS_LITTLE_ENDIAN:
        return np.frombuffer(raw, dtype).reshape(shape)
    return np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape).astype(dtype)


def write(array: Array) -> bytes:
    """The bytes of a tensor, little-endian and row-major."""
    if array.dtype.kind == "O":
        encoded = [text.encode() for text in array.reshape(-1)]
        return b"".join(len(element).to_bytes(_LENGTH, "little") + element for element in encoded)
    return (array if _IS_LITTLE_ENDIAN else array.astype(array.dtype.newbyteorder("<"))).tobytes()


def decode_text(raw: memoryview, field: str) -> str:
    """One element of BYTES, without its length.

    Raises:
        InvalidInput: it is not UTF-8.
    """
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(error, field) from None


def elements(raw: memoryview, shape: Sequence[int], field: str) -> Iterator[memoryview]:
    """The elements of a BYTES tensor, which are views of it.

    Raises:
        InvalidInput: the bytes are too few or too many for the shape.
    """
    count = prod(shape)
    if count * _LENGTH > len(raw):
        raise InvalidInput(
            f"got {len(raw)} bytes, BYTES of shape {list(shape)} takes at least {count * _LENGTH}", field
        )
    return _elements(raw, count, shape, field)


def _elements(raw: memoryview, count: int, shape: Sequence[int], field: str) -> Iterator[memoryview]:
    size, end = len(raw), 0
    for index in range(count):
        start = end + _LENGTH
        end = start + _length_at(raw, end)[0] if start <= size else start
        if end > size:
            raise InvalidInput(f"the {size} bytes end inside this element", f"{field}[{index}]")
        yield raw[start:end]
    if end < size:
        raise InvalidInput(
            f"got {size - end} bytes after the {count} elements of shape {list(shape)}, expected none", field
        )


def _read_texts(raw: memoryview, shape: Sequence[int], field: str) -> Array:
    given = elements(raw, shape, field)  # which refuses what is too short before memory is taken for it
    array = np.empty(prod(shape), dtype=object)
    for index, element in enumerate(given):
        try:
            array[index] = str(element, "utf-8")
        except UnicodeDecodeError as error:
            raise not_utf8(error, f"{field}[{index}]") from None
    return array.reshape(shape)


def not_utf8(error: UnicodeDecodeError, field: str) -> InvalidInput:
    """The error of bytes that are no text: onnxruntime takes and gives strings in UTF-8 only."""
    return InvalidInput(f"the bytes are not valid UTF-8 ({error.reason}), and strings of ONNX are", field)
