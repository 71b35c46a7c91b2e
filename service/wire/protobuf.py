"""Protobuf's wire format: the fields of a message, read and written without building the message.

A built message costs many times its bytes: two bytes can be an empty input. Reading only says where each field is, so
that a tensor is a view of the message, and what a message may cost is known before anything is made of it.

https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups, 3 and 4, are deprecated and refused."""

MAX_FIELDS = 1024
"""Of a message, where nothing else says how many it can have."""

_MAX_VARINT = 10
_CHUNK = 1 << 18
"""Bytes of varints that are decoded at a time: each takes tens of bytes meanwhile."""

_double_from = Struct("<d").unpack


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: of the field.
        kind: its wire type.
        value: of a varint the unsigned number; else the bytes.
        raw: the bytes.
    """

    number: int
    kind: int
    value: int
    raw: memoryview


_NOTHING = memoryview(b"")


def fields(message: memoryview, place: str, max_fields: int = MAX_FIELDS) -> list[Field]:
    """The fields of a message, in their order. Unknown ones are among them.

    Args:
        message: its bytes.
        place: where it stands in the request, for errors.
        max_fields: how many it can have.

    Raises:
        InvalidInput: the bytes are no message, or it has more fields.
    """
    found: list[Field] = []
    at, size = 0, len(message)
    try:
        while at < size:
            if len(found) == max_fields:
                raise InvalidInput(f"got more than {max_fields} fields", place)
            tag = message[at]
            at += 1
            if tag > 0x7F:
                tag, at = _varint(message, at - 1, place)
            kind = tag & 7
            if kind == BYTES:
                length = message[at]
                at += 1
                if length > 0x7F:
                    length, at = _varint(message, at - 1, place)
                start, at = at, at + length
                found.append(Field(tag >> 3, BYTES, 0, message[start:at]))
            elif kind == VARINT:
                value, at = _varint(message, at, place)
                found.append(Field(tag >> 3, VARINT, value, _NOTHING))
            elif kind in {FIXED32, FIXED64}:
                start, at = at, at + (4 if kind == FIXED32 else 8)
                found.append(Field(tag >> 3, kind, 0, message[start:at]))
            else:
                raise InvalidInput(f"got wire type {kind} at byte {at - 1}, expected a protobuf message", place)
    except IndexError:
        at = size + 1
    if at > size:
        raise InvalidInput(f"the {size} bytes end inside of a field, expected a protobuf message", place)
    return found


def text(field: Field, place: str) -> str:
    """A string.

    Raises:
        InvalidInput: the field is not one, or not UTF-8.
    """
    try:
        return str(message(field, place), "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not valid UTF-8: {error.reason}", place) from None


def message(field: Field, place: str) -> memoryview:
    """The bytes of a message, of bytes or of packed numbers.

    Raises:
        InvalidInput: the field is a single number.
    """
    if field.kind != BYTES:
        raise InvalidInput(f"got wire type {field.kind}, expected {BYTES}", place)
    return field.raw


def signed(value: int) -> int:
    """An int32 or int64 from its varint."""
    return value - (1 << 64) if value >> 63 else value


def number(field: Field, place: str) -> int:
    """The unsigned value of a varint.

    Raises:
        InvalidInput: the field is not one.
    """
    if field.kind != VARINT:
        raise InvalidInput(f"got wire type {field.kind}, expected {VARINT}", place)
    return field.value


def double(field: Field, place: str) -> float:
    """A double.

    Raises:
        InvalidInput: the field is not one.
    """
    if field.kind != FIXED64:
        raise InvalidInput(f"got wire type {field.kind}, expected {FIXED64}", place)
    return float(_double_from(field.raw)[0])


def repeated_signed(given: Iterable[Field], place: str, max_count: int) -> list[int]:
    """A short list of int32 or int64, packed or not.

    Raises:
        InvalidInput: a field is of another kind, or there are more than `max_count` numbers.
    """
    values: list[int] = []
    for field in given:
        if field.kind == BYTES:
            at, size = 0, len(field.raw)
            while at < size and len(values) <= max_count:
                try:
                    value, at = _varint(field.raw, at, place)
                except IndexError:
                    raise InvalidInput("the bytes end inside of a number", place) from None
                values.append(signed(value))
        else:
            values.append(signed(number(field, place)))
    if len(values) > max_count:
        raise InvalidInput(f"got more than {max_count} numbers", place)
    return values


def count_varints(packed: memoryview) -> int:
    """How many varints there are."""
    return int(np.count_nonzero(np.frombuffer(packed, np.int8) >= 0))


def unpack_varints(packed: memoryview, place: str) -> NDArray[np.uint64]:
    """Packed varints, as unsigned numbers.

    Raises:
        InvalidInput: the bytes end inside of a number, or one is too long.
    """
    data = np.frombuffer(packed, np.uint8)
    if len(data) and data[-1] > 0x7F:
        raise InvalidInput("the bytes end inside of a number", place)
    values = np.empty(count_varints(packed), np.uint64)
    done = at = 0
    while at < len(data):
        piece = data[at : at + _CHUNK]
        last = np.flatnonzero(piece < 0x80)
        if len(last):
            first = np.concatenate(([0], last[:-1] + 1))
            lengths = last - first + 1
        if not len(last) or int(lengths.max()) > _MAX_VARINT:
            raise InvalidInput(f"got a number of more than {_MAX_VARINT} bytes", place)
        total = np.zeros(len(last), np.uint64)
        for place_of_byte in range(int(lengths.max())):
            longer = lengths > place_of_byte
            bits = piece[first[longer] + place_of_byte].astype(np.uint64) & np.uint64(0x7F)
            total[longer] |= bits << np.uint64(7 * place_of_byte)
        values[done : done + len(last)] = total
        done += len(last)
        at += int(last[-1]) + 1
    return values


def encode_varint(value: int) -> bytes:
    """An integer as a varint; a negative one takes ten bytes."""
    value &= (1 << 64) - 1
    if value < 0x80:
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_ONE_BYTE = [bytes([value]) for value in range(0x80)]


def encode_bytes(number: int, value: bytes) -> bytes:
    """A field of bytes: a string, a message, packed numbers."""
    return b"%b%b%b" % (encode_varint(number << 3 | BYTES), encode_varint(len(value)), value)


def encode_number(number: int, value: int) -> bytes:
    """A field that is a varint."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def _varint(data: memoryview, at: int, place: str) -> tuple[int, int]:
    """The number that begins at a byte, and where it ends."""
    value = shift = 0
    for end in range(at, at + _MAX_VARINT):
        byte = data[end]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, end + 1
        shift += 7
    raise InvalidInput(f"got a number of more than {_MAX_VARINT} bytes at byte {at}", place)
