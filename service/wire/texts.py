"""Texts in the body of a request: ``{"text": "..."}``, ``{"text": ["...", "..."]}``, or the body itself."""

from typing import Any, NamedTuple

from models.errors import InvalidInput, TooLarge
from service.wire.json_object import parse_object, require_known
from service.wire.json_text import kind_of

MAX_TEXTS = 1024
"""Of a request."""

_FIELD = "text"


class Texts(NamedTuple):
    """The texts of a request.

    Attributes:
        values: at least one.
        is_list: whether they came as a list, so that the answer is a list.
    """

    values: list[str]
    is_list: bool


def is_json(content_type: bytes) -> bool:
    """Whether a body of this type is JSON."""
    return b"json" in content_type.lower()


def is_text(content_type: bytes) -> bool:
    """Whether a body of this type is a text or JSON, and so is no image."""
    return is_json(content_type) or content_type.lower().startswith(b"text/")


def decode(body: bytes, content_type: bytes) -> Texts:
    """Read the texts of a body.

    Args:
        body: all of it.
        content_type: value of the header. A body of neither JSON nor text, such as curl's form, is JSON if it begins
            like an object.

    Raises:
        TooLarge: there are more than `MAX_TEXTS` texts.
        InvalidInput: the body is neither, or the JSON is not of this form.
    """
    if is_json(content_type) or (not is_text(content_type) and body.lstrip().startswith(b"{")):
        return _decode_object(parse_object(body))
    try:
        return Texts([body.decode("utf-8-sig")], is_list=False)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            'expected {"text": "..."} as application/json, or a text in UTF-8 as text/plain', "body"
        ) from error


def _decode_object(request: dict[str, Any]) -> Texts:
    require_known(request, (_FIELD,))
    if _FIELD not in request:
        raise InvalidInput('missing: send {"text": "..."}', _FIELD)
    value = request[_FIELD]
    if isinstance(value, str):
        return Texts([value], is_list=False)
    if not isinstance(value, list):
        raise InvalidInput(f"got {kind_of(value)}, expected a string or a list of strings", _FIELD)
    if not value:
        raise InvalidInput("got an empty list, expected at least one text", _FIELD)
    if len(value) > MAX_TEXTS:
        raise TooLarge(f"got {len(value)} texts, expected at most {MAX_TEXTS} in a request", _FIELD)
    for number, text in enumerate(value):
        if not isinstance(text, str):
            raise InvalidInput(f"got {kind_of(text)}, expected a string", f"{_FIELD}[{number}]")
    return Texts(value, is_list=True)
