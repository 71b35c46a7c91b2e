"""The IDX format."""

import struct

import numpy as np
import pytest

from models.errors import InvalidInput
from training.data import idx


def file(*shape: int, kind: int = 8, values: int | None = None) -> bytes:
    count = int(np.prod(shape)) if values is None else values
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape) + bytes(range(count))


def test_values_come_in_the_order_and_shape_that_the_header_states() -> None:
    np.testing.assert_array_equal(idx.parse(file(2, 3), axes=2), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "two zero bytes"),
        (b"\x1f\x8b\x08\x00", "two zero bytes"),
        (file(2, 3, kind=0x0D), "type 0x0d"),
        (file(6), "1 axes where 2"),
        (file(2, 3)[:9], "within its header"),
        (file(2, 3, values=5), "5 values where its header states 6"),
        (file(2, 3, values=7), "7 values where its header states 6"),
        (struct.pack(">BBBB2I", 0, 0, 8, 2, 2**32 - 1, 2**32 - 1), "0 values where its header states 184"),
    ],
)
def test_anything_else_is_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        idx.parse(data, axes=2)
