"""Records and judges the observations of all served versions, and keeps them in a folder.

Each version has windows of time (`service.watching.windows`), and windows of a fixed number of rows, one after the
other. A window of rows is judged when it is full; alarms open and close with them. An alarm also ends when its version
has no role and has had no rows for an hour, or is not served any more: no window would ever close it.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from models.accuracy.agreement_estimator import AgreementEstimator
from models.accuracy.labelled import Labelled
from models.drift.baseline import Baseline
from models.errors import DengeError, NotFound
from models.manifest import Manifest
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.host.blocking_pool import BlockingPool
from service.host.clock import steady
from service.watching import stored_observations
from service.watching.alarms.alarm import UNLOADED, UNUSED, Alarm
from service.watching.judged_window import JudgedWindow
from service.watching.observation import Observation
from service.watching.shared_drift import SharedDrift
from service.watching.version_monitor import VersionMonitor

log = structlog.get_logger()

SAVE_SECONDS = 30.0
DISK_SECONDS = 20.0
"""How long to wait for observations to be saved."""

AlarmCallback = Callable[[Alarm], None]

_Key = tuple[str, int]


class DriftMonitor:
    """The monitors of the served versions. Safe to use from several threads.

    Args:
        catalog: the served versions.
        rows: of a judged window.
        false_alarm_rate: at which windows are judged.
        folder: where observations are kept; None keeps them in memory only.
        clock: seconds since 1970, never going back.
        shared: what all replicas have observed, if there are others; the store keeps it then, and no folder.
        days_between_false_alarms: of which one has a false alarm on average; None for the rate of a window.
    """

    def __init__(
        self,
        catalog: Catalog,
        rows: int = 256,
        false_alarm_rate: float = 0.01,
        folder: Path | None = None,
        clock: Callable[[], float] = steady,
        shared: SharedDrift | None = None,
        days_between_false_alarms: float | None = None,
    ) -> None:
        self._catalog = catalog
        self._window_rows = rows
        self._false_alarm_rate = false_alarm_rate
        self._days = days_between_false_alarms
        self._folder = folder if shared is None else None
        self._shared = shared
        if shared is not None:
            shared.start(self.monitored, catalog.has_role)
        self._clock = clock
        self._versions: dict[_Key, VersionMonitor] = {}
        self._callbacks: list[AlarmCallback] = []
        self._lock = threading.Lock()
        self._save_lock = threading.Lock()
        self._writable = True
        self._disk = BlockingPool("observations", 1, DISK_SECONDS)

    def on_alarm_change(self, callback: AlarmCallback) -> None:
        """Call this, from any thread, with every alarm that begins or ends."""
        self._callbacks.append(callback)

    def of(self, served: ServedVersion) -> VersionMonitor:
        """Returns the monitor of a version, with its stored observations. The first call reads them from the disk."""
        key = served.model, served.version
        with self._lock:
            if known := self._versions.get(key):
                return known
        share = None if self._shared is None else self._shared.share(*key)
        version = VersionMonitor(
            served.manifest, self._window_rows, self._false_alarm_rate, self._clock, share, self._days
        )
        self._restore(key, version)
        with self._lock:
            return self._versions.setdefault(key, version)

    def use_estimator(self, served: ServedVersion, estimator: AgreementEstimator) -> None:
        """Estimate the accuracy of a version from now on. From any thread."""
        self.of(served).assessor.estimator = estimator

    async def set_baseline(self, served: ServedVersion, baseline: Baseline | None) -> None:
        """Judge the rows of a version by a baseline, or by none, in all replicas.

        Raises:
            NotReady: another release of this service judges the version.
            StoreUnavailable: the store does not answer.
        """
        observed = self.of(served)
        if self._shared is None:
            observed.baseline = baseline
        else:
            await self._shared.set_baseline(served.model, served.version, observed.identity, baseline)

    def monitored(self) -> list[tuple[ServedVersion, VersionMonitor]]:
        """Returns the served versions and their monitors."""
        return [(served, self.of(served)) for served in self._catalog.served()]

    def record(self, observation: Observation) -> None:
        """Record an observation; ignored if its version is not served any more."""
        served = self._catalog.find(observation.model, observation.version)
        if served is None:
            return
        judged = self.of(served).record(observation)
        if judged is not None:
            self._publish(served.model, served.version, served.manifest, judged)

    def record_labels(self, model: str, version: int, at: float, labelled: Labelled) -> None:
        """Add labels of rows that a loaded version predicted at a time, in seconds since 1970.

        Raises:
            NotFound: the version is not loaded.
        """
        self.of(self._catalog.get(model, version)).record_labels(labelled, at)

    @asynccontextmanager
    async def saving(self, seconds: float = SAVE_SECONDS) -> AsyncIterator[None]:
        """Save periodically until the end of the block, and once more then."""

        async def save_periodically() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._save_in_thread()

        task = asyncio.create_task(save_periodically())
        try:
            yield
        finally:
            task.cancel()
            if self._shared is not None:
                self._shared.close()
            await self._save_in_thread()

    async def _save_in_thread(self) -> None:
        try:
            await self._disk.run("save the observations", self.save)
        except DengeError as error:
            log.warning("observations_not_saved", folder=str(self._folder), reason=str(error))

    def save(self) -> None:
        """End the alarms of versions that answer no more, write new observations, and forget versions not served.

        A folder that cannot be written is logged once; the service continues without.
        """
        with self._save_lock:
            if self._shared is None:
                self._end_alarms()
            self._write()
            self._forget()

    def _end_alarms(self) -> None:
        """End the alarms of versions that answer no more."""
        served = {(served.model, served.version) for served in self._catalog.served()}
        with self._lock:
            versions = list(self._versions.items())
        for key, version in versions:
            if version.alarms.open is None or self._catalog.has_role(*key):
                continue
            if key not in served:
                ended = version.end_alarm(UNLOADED)
            else:
                ended = None if version.window("1h").rows else version.end_alarm(UNUSED)
            if ended is not None:
                self._publish(*key, version.manifest, ended)

    def _publish(self, model: str, version: int, manifest: Manifest, judged: JudgedWindow) -> None:
        alarm = Alarm.of(model, version, manifest, judged)
        for callback in self._callbacks:
            callback(alarm)

    def _write(self) -> None:
        with self._lock:
            versions = dict(self._versions)
        unsaved = {key: stored for key, version in versions.items() if (stored := version.take_unsaved()) is not None}
        try:
            if self._folder is not None and unsaved:
                self._folder.mkdir(parents=True, exist_ok=True)
                for key, stored in unsaved.items():
                    stored_observations.write(_file(self._folder, key), stored)
            self._writable = True
        except OSError as error:
            for key in unsaved:
                versions[key].restore_unsaved()
            if self._writable:
                log.warning("observations_not_saved", folder=str(self._folder), reason=error.strerror)
            self._writable = False

    def _forget(self) -> None:
        """Remove versions that are not served from memory, and those that are not in the repository from the folder."""
        served = {(served.model, served.version) for served in self._catalog.served()}
        with self._lock:
            unloaded = [key for key, version in self._versions.items() if key not in served and not version.unsaved]
            for key in unloaded:
                del self._versions[key]
        if self._folder is None:
            return
        for key in unloaded:
            try:
                self._catalog.repository.validate_version(*key)
            except NotFound:
                _file(self._folder, key).unlink(missing_ok=True)
            except DengeError as error:
                log.warning("repository_not_read", reason=str(error))

    def _restore(self, key: _Key, version: VersionMonitor) -> None:
        if self._folder is None:
            return
        file = _file(self._folder, key)
        try:
            version.restore(stored_observations.read(file))
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, the version is served
            log.warning("observations_not_restored", file=file.name, reason=str(error))


def _file(folder: Path, key: _Key) -> Path:
    return folder / f"{key[0]}-{key[1]}.moments"
