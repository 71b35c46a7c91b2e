"""The IDX file format of the MNIST files (http://yann.lecun.com/exdb/mnist): arrays of bytes with a short header.

2 zero bytes | type (8: unsigned byte) | number of axes | each axis' length, 4 bytes, big-endian | the values
"""

import struct

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

_UNSIGNED_BYTE = 8


def parse(data: bytes, axes: int) -> NDArray[np.uint8]:
    """Read an uncompressed IDX file.

    Args:
        data: the whole file.
        axes: how many axes it must have.

    Returns:
        An array of uint8 of the shape that the header states.

    Raises:
        InvalidInput: not an IDX file of unsigned bytes, of this rank, and of the length that its header states.
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InvalidInput("not an IDX file: it must start with two zero bytes")
    kind, rank = data[2], data[3]
    if kind != _UNSIGNED_BYTE:
        raise InvalidInput(f"an IDX file of type {kind:#04x}; only unsigned bytes ({_UNSIGNED_BYTE:#04x}) are read")
    if rank != axes:
        raise InvalidInput(f"an IDX file of {rank} axes where {axes} are expected")
    start = 4 + 4 * rank
    if len(data) < start:
        raise InvalidInput("the IDX file ends within its header")
    shape = struct.unpack(f">{rank}I", data[4:start])
    expected = int(np.prod(shape, dtype=object))  # Python integers: no header can make this overflow
    if len(data) - start != expected:
        raise InvalidInput(f"the IDX file has {len(data) - start} values where its header states {expected}")
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)
