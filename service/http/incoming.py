"""What has come on a connection and is still to be parsed, in parts of which none reaches beyond a request."""

from service.http.known_head import KnownHead

LARGE_SEGMENT_BYTES = 1 << 17
"""A segment of so many is one of many of a large body: it is parsed after others."""

MAX_EMPTY_LINES_BYTES = 32 << 10
"""Dropped before a request."""

_LINE_ENDS = b"\r\n"
_EMPTY_LINE = b"\r\n\r\n"


class Incoming:
    """Bytes of one connection.

    Attributes:
        size: how many are still to be taken.
    """

    def __init__(self) -> None:
        self.size = 0
        self._data = b""
        self._start = 0
        self._skipped = 0  # bytes since the last part was taken
        self._tail = b""  # of what was taken: an empty line may come in two segments

    def add(self, segment: bytes) -> None:
        """Add what has come."""
        self._data = self._data[self._start :] + segment if self.size else segment
        self._start = 0
        self.size = len(self._data)

    def take(self, size: int | None) -> bytes | memoryview:
        """Take the next part, which is not empty.

        Args:
            size: bytes, if there are as many; None for all up to the end of an empty line, which ends a head, and also
                a body that comes in chunks.
        """
        self._skipped = 0
        start = self._start
        end = self._find_empty_line() if size is None else min(start + size, len(self._data))
        self._start = end
        self.size -= end - start
        return self._data if end - start == len(self._data) else memoryview(self._data)[start:end]

    def take_body(self, head: KnownHead) -> bytes | None:
        """Take a request with this head, if all of it has come and nothing else. Returns its body."""
        start = head.find_body(self._data, self._start)
        if start is None:
            return None
        body = self._data[start:]
        self._data, self._start, self.size, self._skipped = b"", 0, 0, 0
        return body

    def skip_empty_lines(self) -> bool:
        """Drop the ends of lines that come first. Between two requests they mean nothing: RFC 9112, section 2.2.

        Returns:
            Whether there were few enough.
        """
        if self.size and self._data[self._start] in _LINE_ENDS:
            size = self.size
            self._data = self._data[self._start :].lstrip(_LINE_ENDS)
            self._start = 0
            self.size = len(self._data)
            self._skipped += size - self.size
        return self._skipped <= MAX_EMPTY_LINES_BYTES

    def give_back(self, size: int) -> None:
        """Take the last bytes of the last part once more."""
        self._start -= size
        self.size += size

    def _find_empty_line(self) -> int:
        """Where the first empty line ends, or everything."""
        data, start, tail = self._data, self._start, self._tail
        self._tail = b""
        if tail and (found := (tail + data[start : start + 3]).find(_EMPTY_LINE)) >= 0:
            return start + found + len(_EMPTY_LINE) - len(tail)
        if (found := data.find(_EMPTY_LINE, start)) >= 0:
            return found + len(_EMPTY_LINE)
        self._tail = (tail + data[max(start, len(data) - 3) :])[-3:]
        return len(data)
