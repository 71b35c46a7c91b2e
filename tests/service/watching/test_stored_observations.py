"""Observations are stored at once or not at all, and read as they were."""

import errno
import os
from pathlib import Path

import numpy as np
import orjson
import pytest

from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.labelled import NO_LABELS, Labelled
from models.drift.alarm_course import NO_ALARMS, AlarmCourse, AlarmState, Peak
from models.drift.baseline import Baseline
from models.errors import InvalidInput
from service.watching import stored_observations
from service.watching.observed_model import ObservedModel
from service.watching.stored_observations import StoredObservations
from service.watching.windows import Bucket
from tests.bundles import NORM
from tests.service.watching.doubles import observation
from tests.watching import usual_rows

ALARMS = AlarmState(0.5, 7.5, (AlarmCourse(1.0, None, 3, Peak(2.0, 4.0, 0.5, None), NORM, (1,)),))
BASELINE = Baseline(30, 256, 1.5, {"overall": (0.5, 1.25)})


@pytest.fixture
def stored(observed_model: ObservedModel) -> StoredObservations:
    found = [observation(observed_model, usual_rows(count)) for count in (3, 4, 5)]
    first, second, third = (
        Bucket(
            100.0 + one.rows,
            one.layers,
            one.classes,
            Agreement(64, one.rows, 30.5, 60),
            Labelled(one.rows, 2),
            fit=one.rows / 2,
        )
        for one in found
    )
    unclassified = Bucket(99.0, first.layers, np.zeros(0, np.int64))
    return StoredObservations(
        "abc", [("1m", 20, first), ("1h", 1, second), ("start", 0, third)], unclassified, third, 7.5, ALARMS, BASELINE
    )


def buckets(stored: StoredObservations) -> list[Bucket]:
    return [bucket for _, _, bucket in stored.windows] + [stored.filling, stored.judged]


def test_observations_are_read_as_they_were_written(stored: StoredObservations, tmp_path: Path) -> None:
    stored_observations.write(tmp_path / "stored", stored)
    read = stored_observations.read(tmp_path / "stored")

    assert (read.identity, read.judged_at) == (stored.identity, stored.judged_at)
    assert (read.alarms, read.baseline) == (ALARMS, BASELINE)
    assert [found[:2] for found in read.windows] == [found[:2] for found in stored.windows]
    for was, now in zip(buckets(stored), buckets(read), strict=True):
        assert (now.since, now.rows, now.classes.sum()) == (was.since, was.rows, was.classes.sum())
        assert (now.agreement, now.labelled, now.fit) == (was.agreement, was.labelled, was.fit)
        np.testing.assert_array_equal(now.layers[NORM].mean, was.layers[NORM].mean)
        np.testing.assert_array_equal(now.layers[NORM].variance_error, was.layers[NORM].variance_error)


def test_observations_of_an_earlier_release_have_no_agreement(stored: StoredObservations) -> None:
    header, _, rest = stored.to_bytes().partition(b"\n")
    fields, sizes = orjson.loads(header)
    del fields["agreed"], fields["labelled"], fields["fit"], fields["baseline"], fields["alarms"]

    read = StoredObservations.from_bytes(orjson.dumps([fields, sizes]) + b"\n" + rest)

    assert [bucket.agreement for bucket in buckets(read)] == [NO_ROWS] * 5
    assert [bucket.labelled for bucket in buckets(read)] == [NO_LABELS] * 5
    assert [bucket.fit for bucket in buckets(read)] == [0.0] * 5
    assert (read.alarms, read.baseline) == (NO_ALARMS, None)
    assert [bucket.rows for bucket in buckets(read)] == [bucket.rows for bucket in buckets(stored)]


def test_no_observations_are_read_as_they_were_written() -> None:
    read = StoredObservations.from_bytes(StoredObservations("abc", [], None, None, 0.0).to_bytes())

    assert (list(read.windows), read.filling, read.judged) == ([], None, None)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_file_that_is_cut_off_is_refused(stored: StoredObservations, tmp_path: Path, cut: int) -> None:
    (tmp_path / "stored").write_bytes(stored.to_bytes()[:cut])

    with pytest.raises(InvalidInput, match="damaged"):
        stored_observations.read(tmp_path / "stored")


def test_a_write_that_fails_leaves_the_last_file(
    stored: StoredObservations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    stored_observations.write(tmp_path / "stored", stored)
    monkeypatch.setattr(os, "fsync", is_full)
    with pytest.raises(OSError, match="No space left"):
        stored_observations.write(tmp_path / "stored", StoredObservations("def", [], None, None, 0.0))

    assert [file.name for file in tmp_path.iterdir()] == ["stored"]
    assert stored_observations.read(tmp_path / "stored").identity == "abc"
