"""JSON text that is none: what is said about it."""

import codecs

import pytest

from models.errors import InvalidInput
from service.wire.json_text import parse


@pytest.mark.parametrize(
    "text", [codecs.BOM_UTF8 + b'{"a": 1}', '{"a": 1}'.encode("utf-16"), codecs.BOM_UTF16_BE + b"\0{\0}"]
)
def test_a_byte_order_mark_is_named(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="body: not valid JSON: it begins with a byte order mark"):
        parse(text)


def test_other_text_is_said_to_be_wrong_where_it_is() -> None:
    with pytest.raises(InvalidInput, match="line 1 column 7"):
        parse(b'{"a": }')
