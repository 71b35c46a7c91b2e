"""Windows hold what an oracle says, whatever the batches, the order, the processes or a restart between."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.catalog.served_version import ServedVersion
from service.host.clock import to_date
from service.watching.alarms.alarm import UNLOADED, UNUSED, UNUSED_SECONDS, Alarm
from service.watching.monitor import DriftMonitor
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from tests.awaiting import within_time
from tests.bundles import NORM
from tests.service.watching.doubles import Catalog, Clock, observation, oracle
from tests.watching import usual_rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    seconds=st.lists(st.floats(0, 4), min_size=8, max_size=8),
    restart=st.integers(0, 8),
    order=st.randoms(),
)
def test_a_window_is_what_numpy_says_of_its_rows(
    observed_model: ObservedModel, served: ServedVersion, tmp_path_factory, sizes, seconds, restart, order
) -> None:
    folder, clock = tmp_path_factory.mktemp("state"), Clock()
    rows = usual_rows(sum(sizes), seed=sum(sizes))
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    order.shuffle(parts)
    monitor = DriftMonitor(Catalog(served), folder=folder, clock=clock)
    for index, part in enumerate(parts):
        if index == restart:
            monitor.save()
            monitor = DriftMonitor(Catalog(served), folder=folder, clock=clock)
        monitor.record(observation(observed_model, part))
        clock.now += seconds[index]

    mean, variance = oracle(observed_model, rows)
    for window in ("1h", "1d", "start"):
        bucket = monitor.of(served).window(window)
        assert bucket.rows == len(rows)
        assert bucket.classes.sum() == len(rows)
        np.testing.assert_allclose(bucket.layers[NORM].mean, mean, atol=1e-4)
        np.testing.assert_allclose(bucket.layers[NORM].variance, variance, atol=1e-4)


def test_the_oracle_notices_a_row_that_is_missing(observed_model: ObservedModel) -> None:
    rows = usual_rows(40)
    assert not np.allclose(oracle(observed_model, rows)[0], oracle(observed_model, rows[1:])[0], atol=1e-4)


def test_an_alarm_begins_and_ends_once(observed_model: ObservedModel, served: ServedVersion, clock: Clock) -> None:
    changes: list[Alarm] = []
    monitor = DriftMonitor(Catalog(served), rows=64, clock=clock)
    monitor.on_alarm_change(changes.append)
    for shift in (0, 0, 3, 3, 3, 0, 0, 0, 0):
        for part in range(4):
            monitor.record(observation(observed_model, usual_rows(16, seed=10 * shift + part) + np.float32(shift)))

    assert [(alarm.model, alarm.version, alarm.alarm) for alarm in changes] == [
        ("tiny", "1", True),
        ("tiny", "1", False),
    ]
    assert monitor.of(served).judged.bucket.rows == 64


def begin_alarm(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, folder: Path
) -> tuple[Catalog, DriftMonitor, list[Alarm]]:
    """A monitor of a version whose alarm has begun, and the list that gets every change of its alarms."""
    changes: list[Alarm] = []
    catalog = Catalog(served)
    monitor = DriftMonitor(catalog, rows=64, folder=folder, clock=clock)
    monitor.on_alarm_change(changes.append)
    monitor.record(observation(observed_model, usual_rows(64) + np.float32(3)))
    return catalog, monitor, changes


def test_the_alarm_of_a_replaced_version_ends_an_hour_after_its_last_rows(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    catalog, monitor, changes = begin_alarm(observed_model, served, clock, tmp_path)
    began = clock.now
    clock.now += 10 * UNUSED_SECONDS
    monitor.save()
    assert monitor.of(served).alarms.open is not None, "the default version keeps its alarm, however long it is idle"

    catalog.replace()
    monitor.record(observation(observed_model, usual_rows(1)))  # of a request that names it
    clock.now += UNUSED_SECONDS / 2
    monitor.save()
    assert [alarm.alarm for alarm in changes] == [True]
    assert monitor.of(served).alarms.open is not None, "a version that requests name keeps its alarm"
    clock.now += UNUSED_SECONDS
    for _ in range(2):
        monitor.save()

    began_alarm, ended = changes
    assert (began_alarm.alarm, ended.alarm, ended.message, ended.course.end_reason) == (True, False, UNUSED, UNUSED)
    assert (ended.course.began, ended.course.ended, ended.course.windows) == (to_date(began), to_date(clock.now), 1)
    assert (ended.time, ended.rows) == (to_date(clock.now), 64)
    again = DriftMonitor(catalog, rows=64, folder=tmp_path, clock=clock)
    assert again.of(served).alarms == monitor.of(served).alarms
    assert [course.end_reason for course in again.of(served).alarms.courses] == [UNUSED]
    monitor.record(observation(observed_model, usual_rows(64) + np.float32(3)))
    assert [alarm.alarm for alarm in changes] == [True, False, True], "rows that come later open another one"


def test_the_alarm_of_an_unloaded_version_ends_at_once(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    catalog, monitor, changes = begin_alarm(observed_model, served, clock, tmp_path)
    catalog.unload()
    monitor.save()

    assert [(alarm.alarm, alarm.course.end_reason) for alarm in changes] == [(True, ""), (False, UNLOADED)]
    catalog.load()
    assert monitor.of(served).alarms.open is None
    assert monitor.of(served).alarms.courses[0].end_reason == UNLOADED


def test_an_alarm_stays_active_after_a_restart_and_so_does_a_window_that_is_half_full(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    monitor = DriftMonitor(Catalog(served), rows=64, folder=tmp_path, clock=clock)
    for _ in range(6):
        monitor.record(observation(observed_model, usual_rows(16) + np.float32(3)))
    monitor.save()

    changes: list[Alarm] = []
    again = DriftMonitor(Catalog(served), rows=64, folder=tmp_path, clock=clock)
    again.on_alarm_change(changes.append)
    before, after = monitor.of(served).judged, again.of(served).judged
    assert again.of(served).alarms == monitor.of(served).alarms
    assert again.of(served).alarms.open is not None
    assert (after.at, after.bucket.rows) == (before.at, 64)
    assert after.assessment.statistic == before.assessment.statistic
    clock.now += 1
    for _ in range(2):
        again.record(observation(observed_model, usual_rows(16) + np.float32(3)))
    assert again.of(served).judged.at == clock.now
    assert changes == []


def test_observations_are_saved_periodically_and_at_the_end(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    def saved_rows() -> int:
        return DriftMonitor(Catalog(served), folder=tmp_path, clock=clock).of(served).window("start").rows

    async def until_saved(rows: int) -> None:
        while await asyncio.to_thread(saved_rows) != rows:
            pass

    async def scenario() -> None:
        monitor = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
        async with monitor.saving(seconds=0):
            for rows in (5, 10):
                monitor.record(observation(observed_model, usual_rows(5)))
                await within_time(until_saved(rows), f"{rows} rows are not saved")
        async with monitor.saving():
            monitor.record(observation(observed_model, usual_rows(5)))
        assert saved_rows() == 15

    asyncio.run(scenario())


def test_another_version_under_the_same_number_begins_anew(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    monitor = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    monitor.record(observation(observed_model, usual_rows(5)))
    monitor.save()
    other = ServedVersion("tiny", 1, served.manifest.model_copy(update={"labels": ("other", "labels")}), None)

    def rows_after_restart(version: ServedVersion) -> int:
        return DriftMonitor(Catalog(version), folder=tmp_path, clock=clock).of(version).window("start").rows

    assert rows_after_restart(other) == 0
    assert rows_after_restart(served) == 5


def test_an_unloaded_version_leaves_the_memory_and_a_pruned_one_the_folder(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    catalog = Catalog(served)
    monitor = DriftMonitor(catalog, folder=tmp_path, clock=clock)
    monitor.record(observation(observed_model, usual_rows(5)))
    monitor.save()
    held = monitor.of(served)

    catalog.unload()
    monitor.save()
    assert len(list(tmp_path.iterdir())) == 1
    assert monitor.of(served) is not held
    assert monitor.of(served).window("start").rows == 5

    catalog.prune()
    monitor.save()
    assert list(tmp_path.iterdir()) == []
    assert monitor.of(served).window("start").rows == 0


def test_what_has_not_changed_is_not_written_again(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    monitor = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    monitor.record(observation(observed_model, usual_rows(5)))
    monitor.save()
    (file,) = tmp_path.iterdir()
    file.unlink()
    monitor.save()
    assert not file.exists()
    monitor.record(observation(observed_model, usual_rows(5)))
    monitor.save()
    assert file.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04nonsense", b"\x80\x04pickled"])
def test_a_damaged_file_does_not_keep_a_version_from_being_observed(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path, damage: bytes
) -> None:
    monitor = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    monitor.record(observation(observed_model, usual_rows(5)))
    monitor.save()
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)

    again = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    assert again.of(served).window("start").rows == 0
    again.record(observation(observed_model, usual_rows(5)))
    again.save()
    assert DriftMonitor(Catalog(served), folder=tmp_path, clock=clock).of(served).window("start").rows == 5


def test_a_folder_that_cannot_be_written_does_not_either(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.touch()
    monitor = DriftMonitor(Catalog(served), folder=folder / "watch", clock=clock)
    monitor.record(observation(observed_model, usual_rows(5)))
    monitor.save()

    assert monitor.of(served).window("start").rows == 5
    folder.unlink()
    monitor.save()
    assert len(list((folder / "watch").iterdir())) == 1, "what could not be written is written later"


def test_observations_of_an_unloaded_version_are_ignored(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock
) -> None:
    monitor = DriftMonitor(Catalog(served), clock=clock)
    found = observation(observed_model, usual_rows(5))
    monitor.record(Observation("unloaded", 1, found.layers, found.classes))

    assert monitor.of(served).window("start").rows == 0
