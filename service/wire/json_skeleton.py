"""Large JSON bodies, in pieces: without their long lists and strings, they are small.

Quotes, braces and backslashes are found first, which takes little however many bytes there are. A long text between two
of them is a string, or has nothing but lists of numbers: it is left out. The rest, the skeleton, is parsed at once if
it is small, and refused if it is not.
"""

from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput, TooLarge
from service.wire.json_text import parse as parse_small
from service.wire.long_list import LongList
from service.wire.pieces import PIECE_BYTES

_MIN_LONG_BYTES = 1 << 9
_MAX_STRING_BYTES = 1 << 23
_MAX_SKELETON_BYTES = 1 << 20
_MAX_VALUES = 1 << 15
_MAX_MARKS = 1 << 18
_MAX_DEPTH = 32
"""Bounds of the skeleton, so that parsing it keeps other threads waiting for milliseconds."""

_QUOTE, _BACKSLASH = b'"\\'
_MARKS = (b'"', b"\\", b"{", b"}")
_FIELD = "body"

Part = str | LongList


def parse(body: bytes) -> Any:
    """The value of a large JSON text, its long lists of numbers as `LongList`s.

    Raises:
        InvalidInput: the text is not JSON, or nests too deep.
        TooLarge: there is too much in it besides long lists of numbers, and long strings.
    """
    marks = _find_marks(body)
    parts = _long_parts(body, marks)
    size = len(body) - sum(end - start for _, start, end in parts)
    if size > _MAX_SKELETON_BYTES:
        raise TooLarge(
            f"got {size} bytes besides long lists of numbers, expected at most {_MAX_SKELETON_BYTES}: "
            "send binary tensors",
            _FIELD,
        )
    token = token_hex(8)  # no client can write it
    skeleton: list[bytes] = []
    before = 0
    for position, (_, start, end) in enumerate(parts):
        skeleton += body[before:start], f'"{token}{position}"'.encode()
        before = end
    text = b"".join((*skeleton, body[before:]))
    _validate_skeleton(text)
    value = parse_small(text)
    return _fill(value, token, [part for part, _, _ in parts]) if parts else value


def _find_marks(body: bytes) -> NDArray[np.intp]:
    """Where quotes, braces and backslashes are."""
    found: list[NDArray[np.intp]] = []
    count = 0
    for start in range(0, len(body), PIECE_BYTES):
        end = min(start + PIECE_BYTES, len(body))
        if all(body.find(mark, start, end) < 0 for mark in _MARKS):
            continue
        text = np.frombuffer(body, np.uint8, end - start, start)
        marks = np.flatnonzero((text == _QUOTE) | (text == _BACKSLASH) | (text == ord("{")) | (text == ord("}")))
        found.append(marks + start)
        count += marks.size
        if count > _MAX_MARKS:
            raise _too_many_values()
    return np.concatenate(found) if found else np.empty(0, np.intp)


def _long_parts(body: bytes, marks: NDArray[np.intp]) -> list[tuple[Part, int, int]]:
    """The long strings and lists, and where each starts and ends in the body."""
    kinds = np.frombuffer(body, np.uint8)[marks]
    is_quote = (kinds == _QUOTE) & ~_is_escaped(marks, kinds)
    inside = np.cumsum(is_quote) % 2 == 1  # whether a string goes on behind the mark
    found: list[tuple[Part, int, int]] = []
    for index in np.flatnonzero(np.diff(marks) > _MIN_LONG_BYTES):
        start, end = int(marks[index]), int(marks[index + 1]) + 1
        if not inside[index]:
            first, last = body.find(b"[", start + 1, end - 1), body.rfind(b"]", start + 1, end - 1) + 1
            if last - first > _MIN_LONG_BYTES and first >= 0 and _is_balanced(body, first, last):
                found.append((LongList(body, first, last), first, last))
        elif is_quote[index] and is_quote[index + 1]:
            found.append((_text(body, start + 1, end - 1), start, end))
    return found


def _is_escaped(marks: NDArray[np.intp], kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the mark stands behind an odd number of backslashes."""
    escaped = np.zeros(len(marks), dtype=np.bool_)
    if not (kinds == _BACKSLASH).any():
        return escaped
    adjacent = np.flatnonzero((kinds[:-1] == _BACKSLASH) & (np.diff(marks) == 1))
    for index in adjacent.tolist():
        escaped[index + 1] = not escaped[index]
    return escaped


def _is_balanced(body: bytes, start: int, end: int) -> bool:
    depth = 0
    for piece in range(start, end, PIECE_BYTES):
        text = np.frombuffer(body, np.uint8, min(PIECE_BYTES, end - piece), piece)
        depth += int(np.count_nonzero(text == ord("["))) - int(np.count_nonzero(text == ord("]")))
    return depth == 0


def _text(body: bytes, start: int, end: int) -> str:
    if end - start > _MAX_STRING_BYTES:
        raise TooLarge(f"got a string of {end - start} bytes, expected at most {_MAX_STRING_BYTES}", _FIELD)
    raw = body[start:end]
    if np.frombuffer(raw, np.uint8).min() < ord(" "):
        raise InvalidInput("not valid JSON: a control character in a string", _FIELD)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput("not valid JSON: a string is not UTF-8", _FIELD) from None


def _validate_skeleton(text: bytes) -> None:
    codes = np.frombuffer(text, np.uint8)
    if np.count_nonzero((codes == ord(",")) | (codes == ord("[")) | (codes == ord("{"))) > _MAX_VALUES:
        raise _too_many_values()


def _fill(value: Any, token: str, parts: list[Part], depth: int = 0) -> Any:
    """The value with the parts in their places."""
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"nests deeper than {_MAX_DEPTH} levels", _FIELD)
    match value:
        case str() if value.startswith(token):
            return parts[int(value.removeprefix(token))]
        case list():
            return [_fill(item, token, parts, depth + 1) for item in value]
        case dict():
            return {_fill(key, token, parts): _fill(item, token, parts, depth + 1) for key, item in value.items()}
        case _:
            return value


def _too_many_values() -> TooLarge:
    return TooLarge(f"got more than {_MAX_VALUES} values besides long lists of numbers: send binary tensors", _FIELD)
