"""JSON objects and their members, read strictly: a value of another type than expected is an error that names it."""

import json
from collections.abc import Collection
from contextlib import suppress
from math import isfinite, isinf
from typing import Any, TypeVar

import orjson

from models.errors import InvalidInput

Value = TypeVar("Value")

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InvalidInput: the body is not JSON, nests too deep, or is not an object.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        parsed = _parse_nan_tokens(body, error)
    return require_object(parsed, "body")


def kind_of(value: object) -> str:
    """What a value is in JSON, for an error message."""
    return _KINDS.get(type(value), "a list")  # else an array that was made of one


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
        raise InvalidInput(f"got {_shown(value)}, expected an integer {wanted}", field)
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
    raise InvalidInput(f"got {_shown(value)}, expected a finite number", field)


def require_choice(value: object, field: str, choices: Collection[str]) -> str:
    """The value, which must be one of several strings.

    Raises:
        InvalidInput: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput(f"got {_shown(value)}, expected one of {list(choices)}", field)
    return value


def require_known(members: Collection[str], known: Collection[str]) -> None:
    """Refuse an object that has other members than the known ones.

    Raises:
        InvalidInput: names the first unknown member.
    """
    if unknown := sorted(set(members) - set(known)):
        raise InvalidInput(f"unknown member, expected only {sorted(known)}", unknown[0])


def _require(kind: type[Value], value: object, expected: str, field: str) -> Value:
    if not isinstance(value, kind):
        raise InvalidInput(f"got {kind_of(value)}, expected {expected}", field)
    return value


def _shown(value: object) -> str:
    return repr(value) if type(value) in (int, float, str) and len(repr(value)) <= 40 else kind_of(value)


def _parse_nan_tokens(body: bytes, error: orjson.JSONDecodeError) -> Any:
    # Python clients write bare NaN and Infinity, which JSON does not have. Where these are refused, the error can then
    # name the value.
    if b"NaN" in body or b"Infinity" in body:
        try:
            parsed = json.loads(body, parse_float=_finite)
            if b"\\u" in body:
                json.dumps(parsed, ensure_ascii=False).encode()  # fails on half a surrogate pair, as orjson does
        except (ValueError, RecursionError):
            pass
        else:
            return parsed
    raise InvalidInput(f"not valid JSON: {error}", "body") from error


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("beyond the largest number")
    return value
