"""What all replicas that share a store have observed and judged of the served versions: windows, verdicts, alarms."""

from collections.abc import Callable, Iterable

from models.drift.baseline import Baseline
from service.catalog.served_version import ServedVersion
from service.replicas.membership import Membership
from service.telemetry.effort import Effort
from service.watching.alarms.alarm import Alarm
from service.watching.judge import FINDINGS_TOPIC, Judge
from service.watching.judge_state import Finding, JudgeState, SharedBaseline
from service.watching.shared_windows import SharedWindows
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Bucket, Window

MonitoredVersion = tuple[ServedVersion, VersionMonitor]


def version_key(model: str, version: int, identity: str) -> str:
    """Returns the part of the store's keys that names a version. Another version with the same number has another."""
    return f"{model}/{version}/{identity[:16]}"


class SharedDrift:
    """Shares what this replica observes, judges if it is its turn, and shows what was judged.

    Args:
        membership: of this replica.
        judge: judges the rows of all replicas.
        publish_alarm: called in every replica with every alarm that begins or ends.
    """

    def __init__(self, membership: Membership, judge: Judge, publish_alarm: Callable[[Alarm], None]) -> None:
        self._membership = membership
        self._windows = SharedWindows(membership)
        self._judge = judge
        self._publish_alarm = publish_alarm
        self._findings: dict[str, Finding] | None = None
        self._monitored: Callable[[], Iterable[MonitoredVersion]] = tuple
        self._has_role: Callable[[str, int], bool]
        self._last_served: dict[str, MonitoredVersion] = {}

    def share(self, model: str, version: int) -> Callable[[str], "_SharedVersion"]:
        """Returns what gives, for the identity of a version, what all replicas have observed of it."""
        return lambda identity: _SharedVersion(self._windows, self._membership, version_key(model, version, identity))

    def start(self, monitored: Callable[[], Iterable[MonitoredVersion]], has_role: Callable[[str, int], bool]) -> None:
        """Share and judge these versions from now on. Before the membership runs.

        Args:
            monitored: returns the served versions and their monitors.
            has_role: whether a version, by name and number, gets rows that name no version.
        """
        self._monitored = monitored
        self._has_role = has_role
        self._membership.watch("observations", self.write)
        self._membership.watch(FINDINGS_TOPIC, self.read)

    async def write(self) -> None:
        """Write what this replica has observed, and judge the rows of all replicas if it is its turn.

        Raises:
            StoreUnavailable: the store does not answer; the next call writes and judges what is missing.
        """
        self._windows.attach()
        versions = self._versions()
        self._windows.forget_others(versions.keys())
        for key, (served, monitor) in versions.items():
            await self._windows.write(key, monitor)
            if served.manifest.num_classes is not None:
                await self._windows.share_estimator(key, monitor)
        await self._judge.work(versions)
        without_role = {key: found for key, found in versions.items() if not self._has_role(*_name(found))}
        unloaded = {key: found for key, found in self._last_served.items() if key not in versions}
        await self._judge.end_alarms(without_role, are_loaded=True)
        await self._judge.end_alarms(unloaded, are_loaded=False)
        self._last_served = versions

    async def read(self) -> None:
        """Show what was judged, and publish the alarms that have begun or ended.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        values = await self._membership.store.get_many("finding/")
        found = {key.removeprefix("finding/"): Finding.from_value(value) for key, value in values.items()}
        findings = {key: finding for key, finding in found.items() if finding is not None}
        # What was found before this replica started is shown, but is no event.
        known = findings if self._findings is None else self._findings
        self._findings = findings
        versions = self._versions()
        await self._read_baselines(versions)
        for key, finding in findings.items():
            if key in versions:
                versions[key][1].apply_judgement(finding.judged_at, finding.assessment, finding.alarms)
            if finding.alarm is not None and (key not in known or finding.number > known[key].number):
                self._publish_alarm(finding.alarm)

    async def set_baseline(self, model: str, version: int, identity: str, baseline: Baseline | None) -> None:
        """Have all replicas judge a version by a baseline, or by none.

        Raises:
            NotReady: another release of this service judges the version.
            StoreUnavailable: the store does not answer.
        """
        await self._judge.set_baseline(version_key(model, version, identity), baseline)
        await self._read_baselines(self._versions())

    async def _read_baselines(self, versions: dict[str, MonitoredVersion]) -> None:
        values = await self._membership.store.get_many("baseline/")
        for key, (_, monitor) in versions.items():
            stored = SharedBaseline.from_value(values.get(f"baseline/{key}"))
            monitor.baseline = None if stored is None else stored.baseline

    def close(self) -> None:
        """Stop judging."""
        self._judge.close()

    def _versions(self) -> dict[str, MonitoredVersion]:
        return {
            version_key(served.model, served.version, monitor.identity): (served, monitor)
            for served, monitor in self._monitored()
        }


def _name(found: MonitoredVersion) -> tuple[str, int]:
    return found[0].model, found[0].version


class _SharedVersion:
    """An implementation of `service.watching.shared_version.SharedVersion`."""

    def __init__(self, windows: SharedWindows, membership: Membership, key: str) -> None:
        self._windows = windows
        self._membership = membership
        self._key = key

    def select(self, window: Window, now: float) -> list[tuple[int, Bucket]]:
        """Returns slot and bucket of the buckets in a window that ends now, oldest first."""
        return self._windows.wait(self._windows.read(self._key, window, now))

    def last(self) -> Bucket:
        """Returns the rows of the last judged window."""
        state = self._judge_state()
        return Bucket.empty(0.0) if state is None or state.judged is None else state.judged

    def unjudged_rows(self) -> int:
        """Returns the number of rows in the window that is not full yet."""
        state = self._judge_state()
        return 0 if state is None or state.filling is None else state.filling.rows

    def effort(self) -> Effort:
        """Returns what observing the version has cost all replicas."""
        return self._windows.wait(self._windows.read_effort(self._key))

    def _judge_state(self) -> JudgeState | None:
        value = self._windows.wait(self._membership.observe(self._membership.store.get(f"judge/{self._key}")))
        return JudgeState.from_value(value)
