"""Windows of time: moments of observed rows in buckets that merge into the last minute, hour, day, month, or all.

The number of buckets does not depend on the traffic, so memory depends on the layers alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.labelled import NO_LABELS, Labelled
from models.moments.layers import Layers, count_rows, merged

Window = Literal["1m", "1h", "1d", "30d", "start"]


class Horizon(NamedTuple):
    """How a window is divided.

    Attributes:
        seconds: of one bucket; 0 for a single bucket that never ends.
        buckets: in the window.
    """

    seconds: float
    buckets: int

    def slot(self, time: float) -> int:
        """Returns the number of the bucket that a time, in seconds since 1970, falls into."""
        return int(time // self.seconds) if self.seconds else 0


HORIZONS: Mapping[Window, Horizon] = {
    "1m": Horizon(5.0, 12),
    "1h": Horizon(60.0, 60),
    "1d": Horizon(900.0, 96),
    "30d": Horizon(43_200.0, 60),
    "start": Horizon(0.0, 1),
}

_FINEST = Horizon(5.0, 1)
"""Every horizon's seconds are a multiple of these."""


@dataclass(frozen=True, eq=False)
class Bucket:
    """Moments of some rows.

    Attributes:
        since: time of the first row, in seconds since 1970.
        layers: moments by layer name.
        classes: rows by predicted class, shape (K,), int64; empty for a model that does not classify.
        agreement: of the version with its twin, on as many rows as were read for it.
        labelled: rows whose true class was sent, observed or not.
        fit: how much the rows fit the version better than the one it was made from, in rows (`VersionFit.evidence`).
    """

    since: float
    layers: Layers
    classes: NDArray[np.int64]
    agreement: Agreement = NO_ROWS
    labelled: Labelled = NO_LABELS
    fit: float = 0.0

    @classmethod
    def empty(cls, since: float) -> "Bucket":
        """No rows."""
        return cls(since, {}, np.zeros(0, np.int64))

    @classmethod
    def merged(cls, buckets: Sequence["Bucket"]) -> "Bucket":
        """The rows of all these buckets, at least one."""
        if len(buckets) == 1:
            return buckets[0]
        classes = np.zeros(max(len(bucket.classes) for bucket in buckets), np.int64)
        for bucket in buckets:
            classes[: len(bucket.classes)] += bucket.classes
        return cls(
            min(bucket.since for bucket in buckets),
            merged([bucket.layers for bucket in buckets]),
            classes,
            sum((bucket.agreement for bucket in buckets), NO_ROWS),
            sum((bucket.labelled for bucket in buckets), NO_LABELS),
            sum(bucket.fit for bucket in buckets),
        )

    @property
    def rows(self) -> int:
        """The number of rows."""
        return count_rows(self.layers)


class TimeWindows:
    """The windows of one version, on a clock that does not go back. Not thread-safe.

    Args:
        buckets: window, slot and bucket of each bucket to start with, as `items` yields them.
    """

    def __init__(self, buckets: Iterable[tuple[Window, int, Bucket]] = ()) -> None:
        self._buckets: dict[Window, dict[int, Bucket]] = {window: {} for window in HORIZONS}
        for window, slot, bucket in buckets:
            self._buckets[window][slot] = bucket
        self._recent: Bucket | None = None
        self._recent_slot = 0

    def add(self, bucket: Bucket) -> None:
        """Add rows that were observed at `bucket.since`."""
        if (slot := _FINEST.slot(bucket.since)) != self._recent_slot:
            self._flush()
        self._recent = bucket if self._recent is None else Bucket.merged([self._recent, bucket])
        self._recent_slot = slot

    def add_labels(self, labelled: Labelled, at: float, now: float) -> None:
        """Add labels of rows that were predicted at a time, as far as windows that end now reach back to it."""
        self._flush()
        added = replace(Bucket.empty(at), labelled=labelled)
        for window, horizon in HORIZONS.items():
            buckets, slot = self._buckets[window], horizon.slot(at)
            if horizon.slot(now) - slot < horizon.buckets:
                buckets[slot] = Bucket.merged([buckets[slot], added]) if slot in buckets else added

    def select(self, window: Window, now: float) -> list[tuple[int, Bucket]]:
        """Returns slot and bucket of the buckets in a window that ends now, oldest first."""
        self._flush()
        horizon = HORIZONS[window]
        newest = horizon.slot(now)
        kept = range(newest - horizon.buckets + 1, newest + 1)
        return sorted((slot, bucket) for slot, bucket in self._buckets[window].items() if slot in kept)

    def items(self) -> Iterator[tuple[Window, int, Bucket]]:
        """Yields window, slot and bucket of every bucket."""
        self._flush()
        for window, buckets in self._buckets.items():
            for slot, bucket in buckets.items():
                yield window, slot, bucket

    def _flush(self) -> None:
        """Merge recent rows into every window: once for many observations, since it costs more than one of them."""
        if self._recent is None:
            return
        for window, horizon in HORIZONS.items():
            buckets = self._buckets[window]
            slot = horizon.slot(self._recent_slot * _FINEST.seconds)
            buckets[slot] = Bucket.merged([buckets[slot], self._recent]) if slot in buckets else self._recent
            # Those far ahead were stored before the clock was set back and the service restarted.
            for expired in [other for other in buckets if abs(other - slot) >= horizon.buckets]:
                del buckets[expired]
        self._recent = None
