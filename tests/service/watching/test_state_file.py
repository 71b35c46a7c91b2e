"""A state is written at once or not at all, and read as it was."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import InvalidInput
from service.watching import state_file
from service.watching.observed_model import ObservedModel
from service.watching.state_file import VersionState
from service.watching.windows import Bucket
from tests.bundles import NORM
from tests.service.watching.doubles import observation
from tests.watching import usual_rows


@pytest.fixture
def state(observed_model: ObservedModel) -> VersionState:
    found = [observation(observed_model, usual_rows(count)) for count in (3, 4, 5)]
    first, second, third = (Bucket(100.0 + one.rows, one.layers, one.classes) for one in found)
    unclassified = Bucket(99.0, first.layers, np.zeros(0, np.int64))
    return VersionState("abc", [("1m", 20, first), ("1h", 1, second), ("start", 0, third)], unclassified, third, 7.5)


def buckets(state: VersionState) -> list[Bucket]:
    return [bucket for _, _, bucket in state.windows] + [state.filling, state.judged]


def test_a_state_is_read_as_it_was_written(state: VersionState, tmp_path: Path) -> None:
    state_file.write(tmp_path / "state", state)
    read = state_file.read(tmp_path / "state")

    assert (read.identity, read.judged_at) == (state.identity, state.judged_at)
    assert [found[:2] for found in read.windows] == [found[:2] for found in state.windows]
    for was, now in zip(buckets(state), buckets(read), strict=True):
        assert (now.since, now.rows, now.classes.sum()) == (was.since, was.rows, was.classes.sum())
        np.testing.assert_array_equal(now.layers[NORM].mean, was.layers[NORM].mean)
        np.testing.assert_array_equal(now.layers[NORM].variance_error, was.layers[NORM].variance_error)


def test_a_state_without_rows_is_read_as_it_was_written() -> None:
    read = VersionState.from_bytes(VersionState("abc", [], None, None, 0.0).to_bytes())

    assert (list(read.windows), read.filling, read.judged) == ([], None, None)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_file_that_is_cut_off_is_refused(state: VersionState, tmp_path: Path, cut: int) -> None:
    (tmp_path / "state").write_bytes(state.to_bytes()[:cut])

    with pytest.raises(InvalidInput, match="damaged"):
        state_file.read(tmp_path / "state")


def test_a_write_that_fails_leaves_the_last_state(state: VersionState, tmp_path: Path) -> None:
    state_file.write(tmp_path / "state", state)
    (tmp_path / "state.staged").mkdir()
    with pytest.raises(OSError, match="directory"):
        state_file.write(tmp_path / "state", VersionState("def", [], None, None, 0.0))

    assert state_file.read(tmp_path / "state").identity == "abc"
