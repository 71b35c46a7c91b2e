"""Heads that come again: a client sends the same one before each body, but for its length. It is parsed once."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

_LENGTH = b"content-length"
_MAX_DIGITS = 9
_LENGTH_LINE = re.compile(rb"\r\ncontent-length: ?([0-9]{1,%d})(?=\r\n)" % _MAX_DIGITS, re.IGNORECASE)
_MAX_BYTES = 4 << 10
"""Of a head that is kept, as long as its connection: usual ones have a few hundred."""

_LINE_END = b"\r\n"


class KnownHead(NamedTuple):
    """The head of a request that was parsed, and is valid.

    Attributes:
        before, after: its bytes around the length of the body.
        size: of both.
        headers: names in lower case, and values.
        position: of the length among the headers.
        by_name: the headers by name.
    """

    before: bytes
    after: bytes
    size: int
    headers: list[tuple[bytes, bytes]]
    position: int
    by_name: Mapping[bytes, bytes]

    @classmethod
    def of(cls, head: bytes, headers: list[tuple[bytes, bytes]], by_name: Mapping[bytes, bytes]) -> Self | None:
        """Returns the head of a request, if it is short, and its length is in a line of its own, as usual.

        Args:
            head: all of its bytes.
            headers, by_name: as they were parsed.
        """
        found = _LENGTH_LINE.search(head) if len(head) <= _MAX_BYTES else None
        if found is None or head.count(b"\n") != head.count(_LINE_END) or not head.endswith(2 * _LINE_END):
            return None
        start, end = found.span(1)
        position = [name for name, _ in headers].index(_LENGTH)
        return cls(head[:start], head[end:], len(head) - (end - start), headers, position, by_name)

    def find_body(self, data: bytes, start: int) -> int | None:
        """Returns where the body of a request with this head begins, if all of it has come, and nothing else.

        A length just below a power of ten, such as 98 or 99, is left to the parser: with its digits, it has one more.

        Args:
            data: what has come.
            start: where the request begins in it.
        """
        digits_and_body = len(data) - start - self.size
        length = digits_and_body - len(b"%d" % digits_and_body)
        expected = b"%b%d%b" % (self.before, length, self.after)
        body = start + len(expected)
        return body if body + length == len(data) and data.startswith(expected, start) else None

    def with_length(self, length: int) -> tuple[list[tuple[bytes, bytes]], Mapping[bytes, bytes]]:
        """Returns the headers of a request with a body of so many bytes, as a list and by name."""
        value = b"%d" % length
        headers = self.headers.copy()
        headers[self.position] = _LENGTH, value
        return headers, {**self.by_name, _LENGTH: value}
