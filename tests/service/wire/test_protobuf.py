"""The wire format, compared with protobuf's own library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from service.grpc.messages import message_class
from service.wire import protobuf

INTEGERS = st.integers(-(2**63), 2**63 - 1)


def contents(**fields: object) -> memoryview:
    return memoryview(message_class("InferTensorContents")(**fields).SerializeToString())


@given(st.lists(INTEGERS, max_size=30))
def test_packed_integers_are_read_as_they_were_written(values: list[int]) -> None:
    for field in protobuf.fields(contents(int64_contents=values), "body"):  # none where there are no values
        assert protobuf.unpack_varints(field.raw, "body").view(np.int64).tolist() == values
        assert protobuf.repeated_signed([field], "body", len(values)) == values
        assert protobuf.count_varints(field.raw) == len(values)


def test_more_integers_than_one_piece_are_read_whole() -> None:
    values = (np.arange(400_000, dtype=np.int64) ** 3) % (2**40) - 2**39
    (field,) = protobuf.fields(contents(int64_contents=values.tolist()), "body")

    np.testing.assert_array_equal(protobuf.unpack_varints(field.raw, "body").view(np.int64), values)


@given(INTEGERS)
def test_an_integer_is_written_as_protobuf_does(value: int) -> None:
    message = message_class("InferParameter")(int64_param=value)

    assert protobuf.encode_number(2, value) == message.SerializeToString()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        found = protobuf.fields(memoryview(body), "body")
    except InvalidInput:
        return
    assert all(len(field.raw) <= len(body) for field in found)


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x05abcd", b"\x08", b"\x0d123", b"\x0b", b"\x0e", b"\x80" * 11])
def test_what_is_cut_off_or_no_field_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="body"):
        protobuf.fields(memoryview(body), "body")


@pytest.mark.parametrize("packed", [b"\x80", b"\x01\xff", b"\x80" * 10 + b"\x01", b"\x80" * 300_000 + b"\x01"])
def test_an_integer_that_does_not_end_is_refused(packed: bytes) -> None:
    with pytest.raises(InvalidInput):
        protobuf.unpack_varints(memoryview(packed), "body")


def test_so_many_fields_are_read_and_no_more() -> None:
    body = memoryview(b"\x2a\x00" * 10)

    assert len(protobuf.fields(body, "body", 10)) == 10
    with pytest.raises(InvalidInput, match="more than 9"):
        protobuf.fields(body, "body", 9)
    with pytest.raises(InvalidInput, match="more than 2"):
        protobuf.repeated_signed(protobuf.fields(contents(int64_contents=[1, 2, 3]), "body"), "body", 2)
