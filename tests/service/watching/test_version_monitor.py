"""The windows of one version: each is judged once, at the nearest measured false-alarm rate."""

import numpy as np
import pytest

from models.drift.baseline import MIN_WINDOWS, Baseline
from models.drift.detector import Detector
from models.manifest import Manifest
from service.catalog.served_version import ServedVersion
from service.watching.observed_model import ObservedModel
from service.watching.stored_observations import StoredObservations
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Bucket
from tests.bundles import NORM
from tests.service.watching.doubles import Clock, observation
from tests.watching import usual_rows


@pytest.fixture
def monitor(served: ServedVersion, clock: Clock) -> VersionMonitor:
    return VersionMonitor(served.manifest, 64, 0.01, clock)


def test_history_has_a_bucket_for_each_stretch_of_time(
    monitor: VersionMonitor, observed_model: ObservedModel, clock: Clock
) -> None:
    began = clock.now // 60 * 60
    for minute, count in enumerate((3, 4, 5)):
        clock.now = began + 60 * minute
        monitor.record(observation(observed_model, usual_rows(count)))

    assert [(end, bucket.rows) for end, bucket in monitor.history("1h")] == [
        (began + 60, 3),
        (began + 120, 4),
        (began + 180, 5),
    ]


def test_a_window_that_is_not_full_is_not_judged(monitor: VersionMonitor, observed_model: ObservedModel) -> None:
    assert monitor.record(observation(observed_model, usual_rows(63) + np.float32(3))) is None
    assert monitor.judged is None


def test_only_the_windows_with_which_an_alarm_begins_or_ends_are_returned(
    monitor: VersionMonitor, observed_model: ObservedModel
) -> None:
    shifts = (0, 0, 3, 3, 3, 0, 0, 3, 0, 0, 0, 0)
    found = [
        monitor.record(observation(observed_model, usual_rows(64, seed=shift) + np.float32(shift))) for shift in shifts
    ]

    alarms = [None if judged is None else judged.alarms.open is not None for judged in found]
    assert alarms == [None, None, True, *[None] * 7, False, None]
    (course,) = monitor.alarms.courses
    assert (course.windows, course.first_layer) == (9, NORM)
    assert list(monitor.alarms_in("1h")) == [course]


def test_with_a_rate_by_days_an_alarm_takes_the_evidence_of_several_windows(
    served: ServedVersion, observed_model: ObservedModel, clock: Clock
) -> None:
    monitor = VersionMonitor(served.manifest, 64, 0.01, clock, days_between_false_alarms=7.0)
    opened = []
    for number in range(3):
        clock.now += 60
        opened.append(monitor.record(observation(observed_model, usual_rows(64, seed=number) + np.float32(3))))

    assert [judged is not None for judged in opened] == [False, False, True]
    assert monitor.alarms.open is not None
    assert monitor.alarms.open.began == clock.now


def test_a_bucket_is_assessed_once(
    monitor: VersionMonitor, observed_model: ObservedModel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        monitor.record(observation(observed_model, usual_rows(20)))
        clock.now += 60
    assessed = []
    assess = Detector.assess
    monkeypatch.setattr(Detector, "assess", lambda *given: assessed.append(1) or assess(*given))
    for _ in range(2):
        assert len([monitor.assessor.assess(bucket) for _, bucket in monitor.history("1h")]) == 3
        assert len(assessed) == 3

    monitor.record(observation(observed_model, usual_rows(3)))  # which fills no window
    for _, bucket in monitor.history("1h"):
        monitor.assessor.assess(bucket)
    assert len(assessed) == 4


@pytest.mark.parametrize(("rate", "nearest"), [(0.9, 0.05), (1e-9, 0.001), (0.003, 0.003)])
def test_the_rate_is_the_nearest_measured_one(served: ServedVersion, clock: Clock, rate: float, nearest: float) -> None:
    assert VersionMonitor(served.manifest, 64, rate, clock).assessor.rate == nearest


def test_a_version_without_a_reference_has_the_rate_of_the_settings(served: ServedVersion, clock: Clock) -> None:
    uncalibrated = served.manifest.model_copy(update={"drift": None})

    assert VersionMonitor(uncalibrated, 64, 0.9, clock).assessor.rate == 0.9


def test_windows_per_day_follow_the_traffic(monitor: VersionMonitor, observed_model: ObservedModel) -> None:
    monitor.record(observation(observed_model, usual_rows(32)))

    assert monitor.windows_per_day == pytest.approx(24 * 32 / 64)


def test_unsaved_observations_are_taken_once_and_again_after_another_observation(
    monitor: VersionMonitor, observed_model: ObservedModel
) -> None:
    assert monitor.take_unsaved() is None
    for _ in range(2):
        monitor.record(observation(observed_model, usual_rows(5)))
        assert monitor.take_unsaved() is not None
        assert monitor.take_unsaved() is None


def test_another_release_knows_a_version_by_the_same_identity(served: ServedVersion, clock: Clock) -> None:
    class Later(Manifest):
        added: str | None = None
        added_too: tuple[str, ...] = ()

    stored = served.manifest.model_dump_json(exclude_none=True)
    other = served.manifest.model_copy(update={"description": "another version with this number"})

    here, there, elsewhere = (
        VersionMonitor(manifest, 16, 0.01, clock).identity
        for manifest in (
            Manifest.model_validate_json(stored),
            Later.model_validate_json(stored),
            Manifest.model_validate_json(other.model_dump_json(exclude_none=True)),
        )
    )

    assert there == here
    assert elsewhere != here


def test_the_thresholds_follow_from_the_baseline_when_it_is_complete_also_after_a_restart(
    monitor: VersionMonitor, served: ServedVersion, observed_model: ObservedModel, clock: Clock
) -> None:
    def record(windows: int, seed: int) -> None:
        for number in range(windows):
            offset = np.float32(0.4 * (-1) ** number)  # good windows differ by more than independent rows
            monitor.record(observation(observed_model, usual_rows(64, seed=seed + number) + offset))

    window = observation(observed_model, usual_rows(64, seed=1) + np.float32(0.4))
    bucket = Bucket(clock.now, window.layers, window.classes)
    record(3, seed=10)
    monitor.baseline = Baseline(MIN_WINDOWS, 64, clock.now)
    independent = monitor.assessor.assess(bucket)
    record(MIN_WINDOWS - 1, seed=100)
    assert monitor.assessor.assess(bucket) == independent
    assert monitor.assessor.baseline_factor is None

    record(1, seed=200)

    correlated = monitor.assessor.assess(bucket)
    assert monitor.baseline.learned == MIN_WINDOWS
    assert monitor.assessor.baseline_factor == pytest.approx(correlated.threshold / independent.threshold)
    assert independent.significant
    assert not correlated.significant
    stored = monitor.take_unsaved()
    assert stored is not None
    again = VersionMonitor(served.manifest, 64, 0.01, clock)
    again.restore(StoredObservations.from_bytes(stored.to_bytes()))
    assert again.assessor.assess(bucket) == correlated
    monitor.baseline = None
    assert monitor.assessor.assess(bucket) == independent
