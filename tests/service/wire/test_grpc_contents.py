"""Typed contents, compared with protobuf's own library."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.datatypes import DATATYPES, Datatype, to_numpy
from models.errors import InvalidInput, TooLarge
from service.grpc.messages import message_class
from service.wire import grpc_contents
from service.wire.grpc_contents import MAX_UNPACKED_BYTES

FIELDS: dict[Datatype, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def values(datatype: Datatype) -> NDArray[Any]:
    dtype = to_numpy(datatype)
    if datatype == "BYTES":
        return np.array(["", "é\n", "\U0001f600"], object)
    if datatype == "BOOL":
        return np.array([True, False, True])
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([limits.min, 0, 1, limits.max], dtype)


def message(field: str, given: list[Any]) -> bytes:
    contents = message_class("InferTensorContents")()
    getattr(contents, field).extend(given)
    return bytes(contents.SerializeToString())


def decode(body: bytes, datatype: str, count: int = 4) -> Any:
    return grpc_contents.decode(memoryview(body), datatype, [count], "inputs[0].contents", finite=True)


@pytest.mark.parametrize("datatype", FIELDS)
def test_all_values_of_a_datatype_are_read_and_written(datatype: Datatype) -> None:
    array = values(datatype)
    body = message(FIELDS[datatype], [text.encode() for text in array] if datatype == "BYTES" else array.tolist())

    read = decode(body, datatype, len(array))

    assert read.dtype == to_numpy(datatype)
    np.testing.assert_array_equal(read, array)
    assert grpc_contents.encode(array) == body


def test_every_datatype_has_a_field_or_is_raw_only() -> None:
    assert {name for name in DATATYPES if not grpc_contents.has_typed(name)} == {"FP16", "BF16"}
    with pytest.raises(InvalidInput, match="raw_input_contents"):
        decode(b"", "FP16")


def test_numbers_that_are_not_packed_are_read_too() -> None:
    assert decode(b"\x10\x07\x10\x05", "INT32").tolist() == [7, 5]
    assert decode(b"\x35" + np.float32(0.5).tobytes(), "FP32").tolist() == [0.5]
    assert decode(b"", "FP32").tolist() == []


@pytest.mark.parametrize(
    ("datatype", "field", "given"),
    [("INT8", "int_contents", [1, 128]), ("INT8", "int_contents", [0, -129]), ("UINT16", "uint_contents", [5, 65536])],
)
def test_a_number_out_of_range_is_named(datatype: str, field: str, given: list[int]) -> None:
    with pytest.raises(InvalidInput, match=rf"{field}\[1\]: got {given[1]}"):
        decode(message(field, given), datatype)


@pytest.mark.parametrize(
    ("datatype", "body", "says"),
    [
        ("FP32", message("fp64_contents", [1.0]), "got fp64_contents, FP32 takes fp32_contents"),
        ("FP32", b"\x32\x03abc", "fp32_contents"),
        ("FP32", message("fp32_contents", [float("inf")]), "finite"),
        ("INT32", b"\x12\x01\x80", "int_contents"),
        ("INT32", b"\x15abcd", "int_contents"),
        ("BYTES", message("bytes_contents", [b"a", b"\xff"]), r"bytes_contents\[1\]"),
        ("BYTES", b"\x40\x01", "bytes_contents"),
        ("BYTES", message("bytes_contents", [b""] * 6), "more than 5"),
    ],
)
def test_contents_that_are_wrong_are_named(datatype: str, body: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        decode(body, datatype)


def test_only_so_many_integers_or_texts_are_unpacked() -> None:
    for datatype in ("INT8", "BYTES"):
        with pytest.raises(TooLarge, match="raw_input_contents"):
            decode(bytes(MAX_UNPACKED_BYTES + 1), datatype)
