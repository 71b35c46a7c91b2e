"""What the layers of the served versions have met: in windows of time, and in windows of rows that are judged.

Moments go into buckets of time, which merge into any window: a minute, an hour, a day, and all since the start. How
much there is of them depends on the layers alone, not on the traffic. They are kept in a folder and survive a
restart.

Beside them the rows of each version make windows of a fixed number of rows, one after the other. Each is judged when
it is full, and what comes of it is the version's alarm.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import structlog
from numpy.typing import NDArray

from models.drift.detector import Assessment, Detector
from models.errors import DengeError, InvalidInput, NotFound
from models.moments.window import WindowMoments
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.watching.observer import Observation

log = structlog.get_logger()

Window = Literal["1m", "1h", "1d", "start"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
HORIZONS: Mapping[Window, tuple[float, int]] = {
    "1m": (5.0, 12),
    "1h": (_MINUTE, 60),
    "1d": (_HOUR / 4, 96),
    "start": (0.0, 1),
}
"""Seconds of a bucket, and how many buckets make the window. The last holds everything in one."""

_FINEST = 5.0
"""Seconds that all of them are multiples of."""

SAVE_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class Bucket:
    """Moments of some rows.

    Attributes:
        since: when its first rows came, in seconds since 1970.
        layers: by name.
        classes: rows by predicted class, shape (K,), int64.
    """

    since: float
    layers: Mapping[str, WindowMoments]
    classes: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """How many rows."""
        return max((moments.count for moments in self.layers.values()), default=0)

    @classmethod
    def merged(cls, buckets: Sequence["Bucket"]) -> "Bucket":
        """All of these together, at least one."""
        if len(buckets) == 1:
            return buckets[0]
        layers: dict[str, list[WindowMoments]] = {}
        for bucket in buckets:
            for name, moments in bucket.layers.items():
                layers.setdefault(name, []).append(moments)
        classes = np.zeros(max(len(bucket.classes) for bucket in buckets), np.int64)
        for bucket in buckets:
            classes[: len(bucket.classes)] += bucket.classes
        return cls(
            min(bucket.since for bucket in buckets),
            {name: WindowMoments.merged(parts) for name, parts in layers.items()},
            classes,
        )


@dataclass(frozen=True)
class JudgedWindow:
    """A window of rows that is full."""

    bucket: Bucket
    at: float
    assessment: Assessment


@dataclass
class Effort:
    """What observing has cost since the service started, and what it has left out."""

    batches: int = 0
    rows: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass
class _Version:
    """All that is known of one version."""

    detector: Detector
    layers: tuple[str, ...]
    identity: str
    buckets: dict[Window, dict[int, Bucket]] = field(default_factory=lambda: {window: {} for window in HORIZONS})
    recent: Bucket | None = None
    recent_slot: int = 0
    filling: Bucket | None = None
    judged: JudgedWindow | None = None
    lately: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=256))
    effort: Effort = field(default_factory=Effort)
    assessed: WeakKeyDictionary[Bucket, Assessment] = field(default_factory=WeakKeyDictionary)
    unsaved: bool = False

    def settle(self) -> None:
        """Take what came lately into all windows: once for many observations, since it costs more than one of them."""
        if self.recent is None:
            return
        for window, (seconds, count) in HORIZONS.items():
            buckets = self.buckets[window]
            slot = int(self.recent_slot * _FINEST // seconds) if seconds else 0
            buckets[slot] = Bucket.merged([buckets[slot], self.recent]) if slot in buckets else self.recent
            for old in [old for old in buckets if seconds and old <= slot - count]:
                del buckets[old]
        self.recent = None


Changed = Callable[[ServedVersion, JudgedWindow], None]
"""Told when the alarm of a version begins or ends."""


class DriftMonitor:
    """Keeps and judges what is observed. Safe to use from several threads.

    Args:
        catalog: the versions that are served.
        rows: of a window that is judged.
        false_alarm_rate: at which.
        folder: where it is kept; None keeps it in memory only.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        catalog: Catalog,
        rows: int = 256,
        false_alarm_rate: float = 0.01,
        folder: Path | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._catalog = catalog
        self.window_rows = rows
        self.false_alarm_rate = false_alarm_rate
        self._folder = folder
        self._clock = clock
        self._versions: dict[tuple[str, int], _Version] = {}
        self._listeners: list[Changed] = []
        self._lock = threading.Lock()
        self._writable = True

    def on_change(self, listener: Changed) -> None:
        """Call this, from any thread, when an alarm begins or ends."""
        self._listeners.append(listener)

    def record(self, delta: Observation) -> None:
        """Take in what was observed."""
        try:
            served = self._catalog.get(delta.model, delta.version)
        except DengeError:
            return  # unloaded meanwhile
        with self._lock:
            changed = self._record(served, delta)
        if changed is not None:
            for listener in self._listeners:
                listener(served, changed)

    async def receive(self, delta: bytes) -> bytes:
        """Take in what another process has observed."""
        await asyncio.to_thread(self.record, Observation.from_bytes(delta))
        return b""

    def window(self, served: ServedVersion, window: Window) -> Bucket:
        """All that was observed in a window of time that ends now."""
        seconds, count = HORIZONS[window]
        now = self._clock()
        with self._lock:
            version = self._of(served)
            version.settle()
            buckets = version.buckets[window]
            wanted = [bucket for slot, bucket in buckets.items() if not seconds or slot > now // seconds - count]
        return Bucket.merged(wanted) if wanted else Bucket(now, {}, np.zeros(0, np.int64))

    def history(self, served: ServedVersion, window: Window) -> list[tuple[float, float, Bucket]]:
        """The buckets of a window, oldest first: start and end in seconds since 1970, and what is in it."""
        seconds, count = HORIZONS[window]
        now = self._clock()
        with self._lock:
            version = self._of(served)
            version.settle()
            buckets = sorted(version.buckets[window].items())
        return [
            (slot * seconds, (slot + 1) * seconds, bucket) for slot, bucket in buckets if slot > now // seconds - count
        ]

    def assess(self, served: ServedVersion, bucket: Bucket, rate: float | None = None) -> Assessment:
        """What some rows of a version are judged to be.

        Args:
            served: the version.
            bucket: its rows.
            rate: of false alarms; the one of the settings when absent.

        Raises:
            InvalidInput: the rate is beyond those that were measured.
        """
        with self._lock:
            version = self._of(served)
            known = version.assessed.get(bucket)
        if rate is not None:
            return version.detector.assess(bucket.layers, bucket.classes, rate)
        if known is None:  # of all stretches of time that are shown again and again, only the last one changes
            known = version.detector.assess(bucket.layers, bucket.classes, self._rate(version.detector))
            with self._lock:
                version.assessed[bucket] = known
        return known

    def judged(self, served: ServedVersion) -> JudgedWindow | None:
        """The last full window of rows, and what it was judged to be."""
        with self._lock:
            return self._of(served).judged

    def windows_per_day(self, served: ServedVersion) -> float:
        """How many windows of rows the traffic of the last hour would fill in a day."""
        return self.window(served, "1h").rows / self.window_rows * (_DAY / _HOUR)

    def effort(self, served: ServedVersion) -> Effort:
        """What observing a version has cost."""
        with self._lock:
            return self._of(served).effort

    def save(self) -> None:
        """Write what has come to the folder, and forget what is not served any more.

        A folder that cannot be written is a warning, once: serving goes on.
        """
        with self._lock:
            changed = {key: version for key, version in self._versions.items() if version.unsaved}
            for version in changed.values():
                version.settle()
            states = {key: _State.of(version) for key, version in changed.items()}
            for version in changed.values():
                version.unsaved = False
        try:
            if self._folder is not None and states:
                self._folder.mkdir(parents=True, exist_ok=True)
                for key, state in states.items():
                    _write(_file(self._folder, key), state.to_arrays())
            self._writable = True
        except OSError as error:
            if self._writable:
                log.warning("observations_not_saved", folder=str(self._folder), reason=error.strerror)
            self._writable = False
        self._forget()

    def _forget(self) -> None:
        """What is not served any more leaves the memory; what is not in the repository any more, the folder."""
        served = {(served.model, served.version) for served in self._catalog.served()}
        with self._lock:
            gone = [key for key, version in self._versions.items() if key not in served and not version.unsaved]
            for key in gone:
                del self._versions[key]
        if self._folder is None:
            return
        for key in gone:
            try:
                self._catalog.repository.require(*key)
            except NotFound:
                _file(self._folder, key).unlink(missing_ok=True)

    def _record(self, served: ServedVersion, delta: Observation) -> JudgedWindow | None:
        """Returns what was judged if it changes the alarm."""
        now = self._clock()
        version = self._of(served)
        effort = version.effort
        effort.batches += delta.batches
        effort.rows += delta.rows
        effort.skipped += delta.skipped
        effort.seconds += delta.seconds
        added = Bucket(now, delta.layers, delta.classes)
        if (slot := int(now // _FINEST)) != version.recent_slot:
            version.settle()
        version.recent = added if version.recent is None else Bucket.merged([version.recent, added])
        version.recent_slot = slot
        version.unsaved = True
        version.filling = added if version.filling is None else Bucket.merged([version.filling, added])
        if version.filling.rows < self.window_rows:
            return None
        full, version.filling = version.filling, None
        before = version.judged
        version.judged = self._judge(version, full, now)
        assessment = version.judged.assessment
        changed = assessment.alarm != (before is not None and before.assessment.alarm)
        return version.judged if changed else None

    def _judge(self, version: _Version, full: Bucket, at: float) -> JudgedWindow:
        return JudgedWindow(full, at, version.detector.assess(full.layers, full.classes, self._rate(version.detector)))

    def rate(self, served: ServedVersion) -> float:
        """The false-alarm rate at which windows of a version are judged."""
        with self._lock:
            return self._rate(self._of(served).detector)

    def _rate(self, detector: Detector) -> float:
        """The rate of the settings, or the nearest that was measured for this model."""
        if detector.reference is None:
            return self.false_alarm_rate
        rates = detector.reference.false_alarm_rates
        return min(max(self.false_alarm_rate, rates[-1]), rates[0])

    def _of(self, served: ServedVersion) -> _Version:
        key = served.model, served.version
        if key not in self._versions:
            version = _Version(
                Detector(served.manifest.drift),
                tuple(layer.name for layer in served.manifest.norm_layers),
                sha256(served.manifest.model_dump_json().encode()).hexdigest(),
            )
            self._versions[key] = version
            self._restore(key, version)
        return self._versions[key]

    def _restore(self, key: tuple[str, int], version: _Version) -> None:
        if self._folder is None:
            return
        file = _file(self._folder, key)
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                state = _State.from_arrays(arrays)
            if str(state.identity) != version.identity:
                raise InvalidInput("it is of another version that had this number")
            version.buckets, version.filling, full = state.buckets(version.layers)
            if full is not None:
                version.judged = self._judge(version, full, float(state.judged_at))
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, it is no reason not to serve
            log.warning("observations_not_restored", file=file.name, reason=str(error))


def _file(folder: Path, key: tuple[str, int]) -> Path:
    return folder / f"{key[0]}-{key[1]}.npz"


_FILLING, _JUDGED = len(HORIZONS), len(HORIZONS) + 1
"""In place of the index of a window."""


@dataclass(frozen=True)
class _State:
    """The buckets of a version as arrays.

    Attributes:
        identity: of the version.
        judged_at: when its last full window of rows was full.
        windows: for each bucket the index of its window, shape (B,).
        slots, since: its place and its beginning, shape (B,).
        layers: names, shape (L,).
        counts: rows by bucket and layer, shape (B, L).
        moments: of all layers' channels, shape (B, 5, sum of C).
        widths: channels of each layer, shape (L,).
        classes: shape (B, K).
    """

    identity: NDArray[np.str_]
    judged_at: NDArray[np.float64]
    windows: NDArray[np.int64]
    slots: NDArray[np.int64]
    since: NDArray[np.float64]
    layers: NDArray[np.str_]
    widths: NDArray[np.int64]
    counts: NDArray[np.int64]
    moments: NDArray[np.float64]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, version: _Version) -> "_State":
        """Of a version that has been observed."""
        found = [
            (index, slot, bucket)
            for index, window in enumerate(HORIZONS)
            for slot, bucket in version.buckets[window].items()
        ]
        if version.filling is not None:
            found.append((_FILLING, 0, version.filling))
        if version.judged is not None:
            found.append((_JUDGED, 0, version.judged.bucket))
        widths: dict[str, int] = {}
        for _, _, bucket in found:
            widths |= {name: len(moments.mean) for name, moments in bucket.layers.items()}
        most_classes = max((len(bucket.classes) for _, _, bucket in found), default=0)
        empty = {name: WindowMoments.empty(width) for name, width in widths.items()}
        full = [{**empty, **bucket.layers} for _, _, bucket in found]
        return cls(
            np.array(version.identity),
            np.array(0.0 if version.judged is None else version.judged.at),
            np.array([index for index, _, _ in found], np.int64),
            np.array([slot for _, slot, _ in found], np.int64),
            np.array([bucket.since for _, _, bucket in found], np.float64),
            np.array(list(widths), np.str_),
            np.array(list(widths.values()), np.int64),
            np.array([[layers[name].count for name in widths] for layers in full], np.int64),
            np.stack([np.concatenate([layers[name].to_arrays()["moments"] for name in widths], 1) for layers in full]),
            np.array([np.pad(bucket.classes, (0, most_classes - len(bucket.classes))) for _, _, bucket in found]),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "_State":
        found: dict[str, Any] = {name: arrays[name] for name in cls.__dataclass_fields__}
        return cls(**found)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def buckets(self, known: tuple[str, ...]) -> tuple[dict[Window, dict[int, Bucket]], Bucket | None, Bucket | None]:
        """As a version has them: by window, the one that is filling, and the one that was judged."""
        windows = list(HORIZONS)
        found: dict[int, dict[int, Bucket]] = {index: {} for index in range(_JUDGED + 1)}
        ends = np.cumsum(self.widths)
        for row in range(len(self.slots)):
            layers = {}
            for place, name in enumerate(self.layers):
                part = self.moments[row][:, ends[place] - self.widths[place] : ends[place]]
                moments = WindowMoments.from_arrays({"count": self.counts[row, place], "moments": part})
                if str(name) in known and moments.count:
                    layers[str(name)] = moments
            bucket = Bucket(float(self.since[row]), layers, self.classes[row])
            found[int(self.windows[row])][int(self.slots[row])] = bucket
        by_window = {window: found[index] for index, window in enumerate(windows)}
        return by_window, found[_FILLING].get(0), found[_JUDGED].get(0)


def _write(file: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """All of it or nothing."""
    staged = file.with_suffix(".staged")
    with staged.open("wb") as out:
        np.savez(out, allow_pickle=False, **arrays)
        out.flush()
        os.fsync(out.fileno())
    staged.replace(file)
