"""JSON text to Python values, and what these are called in messages."""

import codecs
import json
from math import isinf
from typing import Any

import orjson

from models.errors import InvalidInput

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""That files written on Windows begin with."""

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def parse(text: bytes) -> Any:
    """The value. One call, which keeps all threads waiting: for what is not large.

    Raises:
        InvalidInput: the text is not JSON, or nests too deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _parse_nan_tokens(text, error)


def kind_of(value: object) -> str:
    """What a value is in JSON, for an error message."""
    return _KINDS.get(type(value), "a list")  # else what was made of one


def _parse_nan_tokens(text: bytes, error: orjson.JSONDecodeError) -> Any:
    # Python clients write bare NaN and Infinity, which JSON does not have. Where these are refused, the error can then
    # name the value.
    if b"NaN" in text or b"Infinity" in text:
        try:
            parsed = json.loads(text, parse_float=_finite)
            if b"\\u" in text:
                json.dumps(parsed, ensure_ascii=False).encode()  # fails on half a surrogate pair, as orjson does
        except (ValueError, RecursionError):
            pass
        else:
            return parsed
    if text.startswith(_MARKS):
        raise InvalidInput(
            "not valid JSON: it begins with a byte order mark: send UTF-8 without one", "body"
        ) from error
    raise InvalidInput(f"not valid JSON: {error}", "body") from error


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("beyond the largest number")
    return value
