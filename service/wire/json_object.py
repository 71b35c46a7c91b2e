"""JSON objects and their members, read strictly: a value of another type than expected is an error that names it."""

from collections.abc import Collection
from contextlib import suppress
from math import isfinite
from typing import Any, TypeVar

from models.errors import InvalidInput
from models.validation import describe_unknown, shorten
from service.wire import json_skeleton
from service.wire.json_text import kind_of, parse
from service.wire.long_list import LongList
from service.wire.pieces import LARGE_BYTES

Value = TypeVar("Value")

_MAX_SHOWN = 40
"""Characters of a value in a message."""


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object. In a large one, long lists are `LongList`s.

    Raises:
        InvalidInput: the body is not JSON, nests too deep, or is not an object.
    """
    return require_object(parse(body) if len(body) <= LARGE_BYTES else json_skeleton.parse(body), "body")


def require_object(value: object, field: str) -> dict[str, Any]:
    """The value, which must be an object.

    Raises:
        InvalidInput: it is not.
    """
    return _require(dict, value, "an object", field)


def require_list(value: object, field: str) -> list[Any]:
    """The value, which must be a list.

    Raises:
        InvalidInput: it is not.
    """
    return _require(list, value, "a list", field)


def require_string(value: object, field: str) -> str:
    """The value, which must be a string.

    Raises:
        InvalidInput: it is not.
    """
    return _require(str, value, "a string", field)


def require_boolean(value: object, field: str) -> bool:
    """The value, which must be true or false.

    Raises:
        InvalidInput: it is not.
    """
    return _require(bool, value, "true or false", field)


def require_integer(value: object, field: str, least: int, most: int | None = None) -> int:
    """The value, which must be an integer from `least` to `most`.

    Raises:
        InvalidInput: it is not.
    """
    if type(value) is not int or value < least or (most is not None and value > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidInput(f"{_given(value)}, expected an integer {wanted}", field)
    return value


def require_number(value: object, field: str) -> float:
    """The value, which must be a finite number.

    Raises:
        InvalidInput: it is not.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond the largest float
            number = float(value)
            if isfinite(number):
                return number
    raise InvalidInput(f"{_given(value)}, expected a finite number", field)


def require_choice(value: object, field: str, choices: Collection[str]) -> str:
    """The value, which must be one of several strings.

    Raises:
        InvalidInput: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput(f"{_given(value)}, expected one of {list(choices)}", field)
    return value


def require_known(members: Collection[str], known: Collection[str]) -> None:
    """Refuse an object that has other members than the known ones.

    Raises:
        InvalidInput: names the first unknown member, and the known one that is most like it.
    """
    for name in members:
        if name not in known:
            raise InvalidInput(describe_unknown(name, known), shorten(name))


def _require(kind: type[Value], value: object, expected: str, field: str) -> Value:
    if not isinstance(value, kind):
        if isinstance(value, LongList):
            raise InvalidInput(f"got a list of {len(value)} bytes, expected {expected} that is shorter", field)
        raise InvalidInput(f"{_given_kind(value)}, expected {expected}", field)
    return value


def _given(value: object) -> str:
    is_short = type(value) in (int, float, str) and len(repr(value)) <= _MAX_SHOWN
    return f"got {value!r}" if is_short else _given_kind(value)


def _given_kind(value: object) -> str:
    return "missing or null" if value is None else f"got {kind_of(value)}"
