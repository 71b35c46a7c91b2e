"""An observed model is opened once, and lives as long as its version."""

import gc
import weakref
from collections.abc import Mapping
from math import inf

import numpy as np
import pytest

from models.datatypes import Array, Arrays
from models.errors import BundleError
from models.rows import count_rows
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.watching.observed_model import ObservedModel
from service.watching.observed_models import FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, ObservedModels
from tests.bundles import INPUT
from tests.service.watching.doubles import Clock, open_observed_model
from tests.watching import watched_bundle


def test_an_observed_model_leaves_the_memory_with_its_version() -> None:
    bundle = watched_bundle()
    served = ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))
    observed_models = ObservedModels(open_observed_model)
    observed_model = weakref.ref(observed_models.of(served))
    assert observed_models.of(served) is observed_model()

    del served
    gc.collect()
    assert observed_model() is None


@pytest.mark.parametrize("error", [FileNotFoundError("pruned meanwhile"), BundleError("damaged"), MemoryError()])
def test_a_graph_that_cannot_be_opened_is_tried_again_less_and_less_often(
    served: ServedVersion, error: Exception
) -> None:
    tried = []

    def fail(_served: ServedVersion) -> ObservedModel:
        tried.append(clock.now)
        raise error

    clock = Clock()
    observed_models = ObservedModels(fail, clock)
    for minute in range(6 * 60):
        clock.now = 60.0 * minute
        assert observed_models.of(served) is None
        assert observed_models.of(served) is None

    waits = np.diff(tried) / FIRST_RETRY_SECONDS
    assert waits.tolist() == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_a_graph_that_can_be_opened_again_is_opened_once(served: ServedVersion) -> None:
    clock, outcomes = Clock(), iter([OSError("too many open files"), None])

    def open_model(version: ServedVersion) -> ObservedModel:
        if error := next(outcomes):  # a third attempt would be a StopIteration
            raise error
        return open_observed_model(version)

    observed_models = ObservedModels(open_model, clock)
    found = []
    for seconds in (0.0, FIRST_RETRY_SECONDS - 1, FIRST_RETRY_SECONDS, 2 * MAX_RETRY_SECONDS):
        clock.now = seconds
        found.append(observed_models.of(served))

    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[2] is found[3]


def test_a_version_without_an_observed_graph_is_opened_once(served: ServedVersion) -> None:
    opened = []
    clock = Clock()
    observed_models = ObservedModels(lambda _served: opened.append(1), clock)

    for hour in range(3):
        clock.now = hour * MAX_RETRY_SECONDS
        assert observed_models.of(served) is None
    assert opened == [1]


def test_a_version_without_a_reference_cannot_score(served: ServedVersion) -> None:
    uncalibrated = ServedVersion("tiny", 1, served.manifest.model_copy(update={"drift": None}), served.engine)
    observed_models = ObservedModels(open_observed_model)

    assert observed_models.scorer(uncalibrated) is None
    assert observed_models.scorer(served) is observed_models.of(served)


@pytest.mark.parametrize(("seconds_per_row", "blocks"), [(0.5, [8, 8, 3]), (0.001, [19])])
def test_rows_of_a_slow_model_run_in_blocks_with_the_same_result(
    served: ServedVersion, seconds_per_row: float, blocks: list[int]
) -> None:
    """The memory that a run takes grows with its rows."""
    ran: list[int] = []

    class Slow(Engine):
        def expected_seconds(self, rows: int) -> float:
            return rows * seconds_per_row

        def run(self, inputs: Mapping[str, Array], seconds: float = inf) -> Arrays:
            ran.append(count_rows(inputs))
            return super().run(inputs, seconds)

    bundle = watched_bundle()
    rows = {INPUT: np.random.default_rng(0).normal(size=(19, 4)).astype(np.float32)}
    expected = open_observed_model(served).observe(rows)
    model = ObservedModel(served, Slow(bundle.observed, bundle.manifest.inputs, keep_memory=False))
    ran.clear()

    found = model.observe(rows)

    assert ran == blocks
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    for layer, statistics in expected.layers.items():
        np.testing.assert_allclose(found.layers[layer].mean, statistics.mean, atol=1e-6)
