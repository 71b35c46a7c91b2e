"""Rows that a replica has observed and that the judge of all replicas has not been given yet."""

from service.watching.windows import Bucket

MAX_PARTS = 64
"""While the store does not take them, the oldest are dropped: they stay in the windows of time, but are not judged."""


class UnjudgedRows:
    """Numbered parts of about one window of rows. A part does not change once it was taken. Not thread-safe.

    Args:
        window_rows: of a judged window.
    """

    def __init__(self, window_rows: int) -> None:
        self._window_rows = window_rows
        self._parts: dict[int, Bucket] = {}
        self._taken = 0
        self._last = 0

    def add(self, rows: Bucket) -> None:
        """Add observed rows."""
        filling = self._parts.get(self._last)
        if self._last <= self._taken or filling is None or filling.rows >= self._window_rows:
            self._last += 1
            self._parts[self._last] = rows
        else:
            self._parts[self._last] = Bucket.merged([filling, rows])
        if len(self._parts) > MAX_PARTS:
            del self._parts[min(self._parts)]

    def take(self) -> dict[int, Bucket]:
        """Returns all parts by number, which are kept until they are `confirm`ed."""
        self._taken = self._last
        return dict(self._parts)

    def confirm(self, number: int) -> None:
        """Drop a part: the judge has been given it."""
        self._parts.pop(number, None)
