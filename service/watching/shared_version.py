"""What all replicas have observed of a version: one interface, wherever it is kept."""

from typing import Protocol

from service.telemetry.effort import Effort
from service.watching.windows import Bucket, Window


class SharedVersion(Protocol):
    """The rows of one version that all replicas have observed. For threads; raises StoreUnavailable."""

    def select(self, window: Window, now: float) -> list[tuple[int, Bucket]]:
        """Returns slot and bucket of the buckets in a window that ends now, oldest first."""

    def last(self) -> Bucket:
        """Returns the rows of the last judged window."""

    def unjudged_rows(self) -> int:
        """Returns the number of rows in the window that is not full yet."""

    def effort(self) -> Effort:
        """Returns what observing the version has cost all replicas."""
