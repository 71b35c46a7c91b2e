"""Twins are made once their version has met rows, and take no more time than observing does."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.agreement_estimator import AgreementEstimator
from models.errors import InferenceFailed, NotReady
from service.catalog.served_version import ServedVersion
from service.watching.twins.twin import Twin
from service.watching.twins.twins import MAX_BLOCK_BYTES, RETRY_FACTOR, START_ROWS, Twins
from tests.bundles import INPUT
from tests.service.watching.doubles import ESTIMATOR
from tests.watching import usual_rows

WAIT = 30


class Made:
    """Makes twins, and waits for them."""

    def __init__(self, scores: np.ndarray) -> None:
        self.count = 0
        self.estimators: list[AgreementEstimator] = []
        self._scores = scores
        self._done = threading.Event()

    def make(self, _served: ServedVersion) -> Twin:
        self.count += 1
        return Twin(ESTIMATOR, lambda _inputs: self._scores, "logits")

    def on_made(self, _served: ServedVersion, estimator: AgreementEstimator) -> None:
        self.estimators.append(estimator)
        self._done.set()

    def wait(self) -> None:
        assert self._done.wait(WAIT), "no twin was made"
        join_threads()


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "twin":
            thread.join(WAIT)


@pytest.fixture
def scores() -> np.ndarray:
    return usual_rows(ESTIMATOR.block_rows)[:, :2]


@pytest.fixture
def made(scores: np.ndarray) -> Made:
    return Made(scores)


@pytest.fixture
def seconds() -> list[float]:
    """By how much the processor's clock moves at each look."""
    return [0.0]


@pytest.fixture
def twins(made: Made, seconds: list[float]) -> Twins:
    now = [0.0]

    def clock() -> float:
        now[0] += seconds[0]
        return now[0]

    return Twins(made.make, made.on_made, clock)


@pytest.fixture
def add(twins: Twins, served: ServedVersion, scores: np.ndarray) -> Callable[[], Agreement]:
    block = {INPUT: usual_rows(len(scores))}
    return lambda: twins.add(served, block, scores, 1.0)


def test_a_twin_is_made_once_after_the_first_rows(made: Made, add: Callable[[], Agreement]) -> None:
    for _ in range(START_ROWS // ESTIMATOR.block_rows - 1):
        assert add() == NO_ROWS
    assert made.count == 0

    add()
    made.wait()

    found = add()
    assert (made.count, made.estimators) == (1, [ESTIMATOR])
    assert (found.rows, found.agreed) == (ESTIMATOR.block_rows, ESTIMATOR.block_rows)


def test_a_twin_takes_as_much_time_as_observing(
    made: Made, add: Callable[[], Agreement], seconds: list[float], twins: Twins, served: ServedVersion
) -> None:
    twins.add(served, {INPUT: usual_rows(START_ROWS)}, usual_rows(START_ROWS)[:, :2], 1.0)
    made.wait()
    seconds[0] = 3.5  # of a block, while observing its rows takes 1

    run = [add().rows > 0 for _ in range(40)]

    assert run.count(True) == pytest.approx(40 / 3.5, abs=1.5)


def test_large_rows_are_not_kept(made: Made, twins: Twins, served: ServedVersion) -> None:
    large = np.zeros((START_ROWS, MAX_BLOCK_BYTES // ESTIMATOR.block_rows // 4 + 1), np.float32)
    twins.add(served, {INPUT: large}, np.zeros((START_ROWS, 2)), 1.0)
    made.wait()

    assert twins.add(served, {INPUT: large[:8]}, np.zeros((8, 2)), 1.0) == NO_ROWS


@pytest.mark.parametrize(
    "error", [NotReady("its process was killed"), InferenceFailed("onnxruntime cannot load the graph"), MemoryError()]
)
def test_a_twin_that_could_not_be_made_is_tried_again_after_many_more_rows(
    error: Exception, made: Made, served: ServedVersion
) -> None:
    rows, scores = {INPUT: usual_rows(START_ROWS)}, usual_rows(START_ROWS)[:, :2]
    asked_after: list[int] = []
    met = 0

    def make(version: ServedVersion) -> Twin:
        asked_after.append(met)
        if len(asked_after) < 3:
            raise error
        return made.make(version)

    twins = Twins(make, made.on_made)
    for _ in range(2 * RETRY_FACTOR**2):
        met += START_ROWS
        assert twins.add(served, rows, scores, 1.0) == NO_ROWS or made.count
        join_threads()

    assert asked_after == [START_ROWS, RETRY_FACTOR * START_ROWS, RETRY_FACTOR**2 * START_ROWS]
    assert made.estimators == [ESTIMATOR]


def test_a_twin_that_cannot_exist_is_asked_for_once(served: ServedVersion) -> None:
    asked: list[ServedVersion] = []
    twins = Twins(asked.append, lambda _served, _estimator: None)
    for _ in range(2 * RETRY_FACTOR):
        twins.add(served, {INPUT: usual_rows(START_ROWS)}, usual_rows(START_ROWS)[:, :2], 1.0)
        join_threads()

    assert asked == [served]
