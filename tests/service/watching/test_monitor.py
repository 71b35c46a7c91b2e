"""Windows hold what an oracle says, whatever the batches, the order, the processes or a restart between."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.drift.detector import Detector
from models.errors import VersionNotFound
from models.moments.window import WindowMoments
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.watching.monitor import HORIZONS, DriftMonitor, JudgedWindow
from service.watching.observer import Observation, ObservedModel
from tests.bundles import INPUT, NORM
from tests.watching import usual_rows, watched_bundle

DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1.7e9

    def __call__(self) -> float:
        return self.now


class Catalog:
    """Serves one version."""

    def __init__(self, served: ServedVersion) -> None:
        self._served = [served]
        self.repository = self

    def get(self, model: str, version: int | None = None) -> ServedVersion:
        self.require(model, version)
        return self._served[0]

    def require(self, model: str, version: int | None) -> None:
        if (model, version) not in [(served.model, served.version) for served in self._served]:
            raise VersionNotFound(model, version)

    def served(self) -> list[ServedVersion]:
        return self._served

    def prune(self) -> None:
        self._served = []


@pytest.fixture(scope="module")
def observed_model() -> ObservedModel:
    bundle = watched_bundle()
    return ObservedModel(
        ServedVersion("tiny", 1, bundle.manifest, None), Engine(bundle.observed, bundle.manifest.inputs)
    )


@pytest.fixture(scope="module")
def served() -> ServedVersion:
    return ServedVersion("tiny", 1, watched_bundle().manifest, None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def delta(observed_model: ObservedModel, rows: np.ndarray) -> Observation:
    found, classes = observed_model.observe({INPUT: rows})
    return Observation("tiny", 1, {name: WindowMoments.of(statistics) for name, statistics in found.items()}, classes)


def oracle(observed_model: ObservedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = observed_model.observe({INPUT: rows})[0][NORM].mean  # one position: the mean is the value
    return z.mean(axis=0), z.var(axis=0)


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
    watch = DriftMonitor(Catalog(served), folder=folder, clock=clock)
    for index, part in enumerate(parts):
        if index == restart:
            watch.save()
            watch = DriftMonitor(Catalog(served), folder=folder, clock=clock)
        watch.record(Observation.from_bytes(delta(observed_model, part).to_bytes()))
        clock.now += seconds[index]

    mean, variance = oracle(observed_model, rows)
    for window in ("1h", "1d", "start"):
        bucket = watch.window(served, window)
        assert bucket.rows == len(rows)
        assert bucket.classes.sum() == len(rows)
        np.testing.assert_allclose(bucket.layers[NORM].mean, mean, atol=1e-4)
        np.testing.assert_allclose(bucket.layers[NORM].variance, variance, atol=1e-4)


def test_the_oracle_notices_a_row_that_is_missing(observed_model: ObservedModel) -> None:
    rows = usual_rows(40)
    assert not np.allclose(oracle(observed_model, rows)[0], oracle(observed_model, rows[1:])[0], atol=1e-4)


def test_rows_leave_the_windows_as_time_passes(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock
) -> None:
    watch = DriftMonitor(Catalog(served), clock=clock)
    watch.record(delta(observed_model, usual_rows(10)))
    seen = []
    for passed in (0.0, 61.0, 3601.0, DAY + 1):
        clock.now = 1.7e9 + passed
        seen.append([watch.window(served, window).rows for window in HORIZONS])

    assert seen == [[10, 10, 10, 10], [0, 10, 10, 10], [0, 0, 10, 10], [0, 0, 0, 10]]


def test_however_long_the_traffic_lasts_the_buckets_are_as_many(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock
) -> None:
    watch = DriftMonitor(Catalog(served), clock=clock)
    one = delta(observed_model, usual_rows(3))
    for _ in range(3000):
        watch.record(one)
        clock.now += 301.0

    for window, (_, count) in HORIZONS.items():
        assert len(watch._of(served).buckets[window]) <= count
    assert watch.window(served, "start").rows == 9000


def test_history_has_one_entry_a_stretch_of_time(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock
) -> None:
    watch = DriftMonitor(Catalog(served), clock=clock)
    for count in (3, 4, 5):
        watch.record(delta(observed_model, usual_rows(count)))
        clock.now += 60
    clock.now -= 60

    found = watch.history(served, "1h")
    assert [bucket.rows for _, _, bucket in found] == [3, 4, 5]
    assert all(end - start == 60 for start, end, _ in found)


@pytest.fixture
def alarms(served: ServedVersion, clock: Clock) -> Iterator[tuple[DriftMonitor, list[JudgedWindow]]]:
    changes: list[JudgedWindow] = []
    watch = DriftMonitor(Catalog(served), rows=64, clock=clock)
    watch.on_change(lambda _served, judged: changes.append(judged))
    return watch, changes


def test_an_alarm_begins_and_ends_once(observed_model: ObservedModel, served: ServedVersion, alarms) -> None:
    watch, changes = alarms
    for shift in (0, 0, 3, 3, 3, 0, 0):
        for part in range(4):
            watch.record(delta(observed_model, usual_rows(16, seed=10 * shift + part) + np.float32(shift)))

    assert [judged.assessment.alarm for judged in changes] == [True, False]
    assert watch.judged(served).bucket.rows == 64


def test_a_window_that_is_not_full_is_not_judged(observed_model: ObservedModel, served: ServedVersion, alarms) -> None:
    watch, changes = alarms
    watch.record(delta(observed_model, usual_rows(63) + np.float32(3)))

    assert watch.judged(served) is None
    assert changes == []


def test_an_alarm_stands_after_a_restart_and_so_does_a_window_that_is_half_full(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    watch = DriftMonitor(Catalog(served), rows=64, folder=tmp_path, clock=clock)
    for _ in range(6):
        watch.record(delta(observed_model, usual_rows(16) + np.float32(3)))
    watch.save()

    changes: list[JudgedWindow] = []
    again = DriftMonitor(Catalog(served), rows=64, folder=tmp_path, clock=clock)
    again.on_change(lambda _served, judged: changes.append(judged))
    before, after = watch.judged(served), again.judged(served)
    assert after.assessment.alarm
    assert (after.at, after.bucket.rows) == (before.at, 64)
    assert after.assessment.statistic == before.assessment.statistic
    for _ in range(2):
        again.record(delta(observed_model, usual_rows(16) + np.float32(3)))
    assert again.judged(served).at == clock.now
    assert changes == []


def test_another_version_under_the_same_number_begins_anew(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    watch = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    watch.record(delta(observed_model, usual_rows(5)))
    watch.save()
    other = ServedVersion("tiny", 1, served.manifest.model_copy(update={"labels": ("other", "labels")}), None)

    assert DriftMonitor(Catalog(other), folder=tmp_path, clock=clock).window(other, "start").rows == 0
    assert DriftMonitor(Catalog(served), folder=tmp_path, clock=clock).window(served, "start").rows == 5


def test_what_is_not_served_leaves_the_memory_and_what_is_gone_the_folder(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    catalog = Catalog(served)
    watch = DriftMonitor(catalog, folder=tmp_path, clock=clock)
    watch.record(delta(observed_model, usual_rows(5)))
    watch.save()
    assert len(watch._versions) == len(list(tmp_path.iterdir())) == 1

    catalog.prune()
    watch.save()
    assert len(watch._versions) == len(list(tmp_path.iterdir())) == 0


def test_what_has_not_changed_is_not_written_again(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    watch = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    watch.record(delta(observed_model, usual_rows(5)))
    watch.save()
    (file,) = tmp_path.iterdir()
    file.unlink()
    watch.save()
    assert not file.exists()
    watch.record(delta(observed_model, usual_rows(5)))
    watch.save()
    assert file.exists()


def test_a_stretch_of_time_is_judged_once(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, monkeypatch
) -> None:
    watch = DriftMonitor(Catalog(served), clock=clock)
    for _ in range(3):
        watch.record(delta(observed_model, usual_rows(20)))
        clock.now += 60
    asked = []
    judge = Detector.assess
    monkeypatch.setattr(Detector, "assess", lambda *given: asked.append(1) or judge(*given))
    for expected in (3, 3):
        found = [watch.assess(served, bucket) for _, _, bucket in watch.history(served, "1h")]
        assert len(found) == 3
        assert len(asked) == expected
    watch.record(delta(observed_model, usual_rows(20)))
    for _, _, bucket in watch.history(served, "1h"):
        watch.assess(served, bucket)
    assert len(asked) == 4


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04nonsense", b"\x80\x04pickled"])
def test_a_damaged_file_is_no_reason_not_to_serve(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path, damage: bytes
) -> None:
    watch = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    watch.record(delta(observed_model, usual_rows(5)))
    watch.save()
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)

    again = DriftMonitor(Catalog(served), folder=tmp_path, clock=clock)
    assert again.window(served, "start").rows == 0
    again.record(delta(observed_model, usual_rows(5)))
    again.save()
    assert DriftMonitor(Catalog(served), folder=tmp_path, clock=clock).window(served, "start").rows == 5


def test_a_folder_that_cannot_be_written_is_no_reason_either(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    watch = DriftMonitor(Catalog(served), folder=tmp_path / "file" / "watch", clock=clock)
    watch.record(delta(observed_model, usual_rows(5)))
    watch.save()

    assert watch.window(served, "start").rows == 5


def test_what_was_unloaded_meanwhile_is_left_out(
    observed_model: ObservedModel, served: ServedVersion, clock: Clock
) -> None:
    watch = DriftMonitor(Catalog(served), clock=clock)
    found = delta(observed_model, usual_rows(5))
    watch.record(Observation("gone", 1, found.layers, found.classes))

    assert watch.window(served, "start").rows == 0


def test_the_rate_is_the_nearest_that_was_measured(served: ServedVersion) -> None:
    assert DriftMonitor(Catalog(served), false_alarm_rate=0.9).rate(served) == 0.05
    assert DriftMonitor(Catalog(served), false_alarm_rate=1e-9).rate(served) == 0.001
    assert DriftMonitor(Catalog(served), false_alarm_rate=0.003).rate(served) == 0.003


def test_windows_per_day_follow_the_traffic(observed_model: ObservedModel, served: ServedVersion, clock: Clock) -> None:
    watch = DriftMonitor(Catalog(served), rows=64, clock=clock)
    watch.record(delta(observed_model, usual_rows(32)))

    assert watch.windows_per_day(served) == pytest.approx(24 * 32 / 64)
