"""Observing keeps to its budget, delays nobody, and finds what an oracle finds."""

import itertools
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from time import monotonic

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.moments.window import WindowMoments
from service.catalog.served_version import ServedVersion
from service.telemetry.statistics import ServiceStatistics
from service.watching import observer as observer_module
from service.watching.batch_observer import BatchObserver
from service.watching.budget import Budget
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from service.watching.observed_models import ObservedModels
from service.watching.observer import MAX_OBSERVED_ROWS, MAX_WAITING_BATCHES, Observer
from tests.bundles import INPUT, NORM, tiny_bundle
from tests.service.watching.doubles import open_observed_model
from tests.watching import usual_rows

WAIT = 30


class Sink:
    """Takes observations, while its gate is open."""

    def __init__(self) -> None:
        self.observations: SimpleQueue[Observation] = SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, observation: Observation) -> None:
        assert self.gate.wait(WAIT), "the gate is closed"
        self.observations.put(observation)

    def next(self) -> Observation:
        try:
            return self.observations.get(timeout=WAIT)
        except Empty:
            pytest.fail("nothing was observed")


class Spent(Budget):
    """Notes what is spent, and does not rest."""

    def __init__(self) -> None:
        super().__init__(percent=100)
        self.seconds: SimpleQueue[float] = SimpleQueue()

    def spend(self, seconds: float, rows: int) -> None:  # noqa: ARG002
        self.seconds.put(seconds)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def statistics() -> ServiceStatistics:
    return ServiceStatistics()


@pytest.fixture
def observers(statistics: ServiceStatistics) -> Iterator[Callable[..., Observer]]:
    made: list[Observer] = []

    def start(
        sink: Sink,
        open_model: Callable[[ServedVersion], ObservedModel | None] = open_observed_model,
        budget: Budget | None = None,
        **given: Callable[[], float],
    ) -> Observer:
        batch_observer = BatchObserver(ObservedModels(open_model), sink, **given)
        made.append(Observer(lambda: batch_observer, budget or Budget(percent=100), statistics, **given))
        return made[-1]

    yield start
    for observer in made:
        close(observer)


def close(observer: Observer) -> None:
    closing = threading.Thread(target=observer.close, daemon=True)
    closing.start()
    closing.join(WAIT)
    assert not closing.is_alive(), "the observer does not close"


def until_idle(observer: Observer) -> None:
    deadline = monotonic() + WAIT
    while observer.busy:
        assert monotonic() < deadline, "the observer stays busy"
        threading.Event().wait(0.001)


def test_what_it_finds_is_what_the_folded_graph_holds(served: ServedVersion, sink: Sink, observers) -> None:
    rows = usual_rows(20)
    observers(sink).offer(served, {INPUT: rows})
    found = sink.next()

    layer = served.layer(NORM)
    folded = onnx.load_from_string(tiny_bundle().folded)
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in folded.graph.initializer}
    weight, bias = weights["fc.weight"], weights["fc.bias"]
    z = (rows @ weight.T + bias - layer.beta) / np.abs(layer.gamma)
    np.testing.assert_allclose(found.layers[NORM].mean, z.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.layers[NORM].variance, z.var(axis=0), atol=1e-4)
    predicted = served.engine.run({INPUT: rows})["logits"].argmax(axis=1)
    assert found.classes.tolist() == np.bincount(predicted, minlength=2).tolist()
    assert (found.model, found.version, found.rows, found.batches) == ("tiny", 1, 20, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_rows_that_are_not_finite_are_left_out(served: ServedVersion, sink: Sink, observers, value: float) -> None:
    rows = usual_rows(20)
    odd = rows.copy()
    odd[[3, 7]] = value
    kept = np.delete(rows, [3, 7], axis=0)
    observer = observers(sink)
    observer.offer(served, {INPUT: odd})
    got = sink.next()
    until_idle(observer)
    observer.offer(served, {INPUT: kept})
    want = sink.next()

    assert got.layers[NORM].count == 18
    np.testing.assert_allclose(got.layers[NORM].mean, want.layers[NORM].mean, rtol=1e-6)
    np.testing.assert_allclose(got.layers[NORM].variance, want.layers[NORM].variance, rtol=1e-6)
    assert got.classes.sum() <= 20


def test_rows_none_of_which_is_finite_are_an_empty_observation(served: ServedVersion, sink: Sink, observers) -> None:
    observers(sink).offer(served, {INPUT: np.full((2, 4), np.nan, np.float32)})
    found = sink.next()

    assert (found.layers[NORM].count, found.classes.tolist()) == (0, [0, 0])


def test_a_batch_that_comes_while_it_is_busy_is_counted_and_left_out(
    served: ServedVersion, sink: Sink, observers, statistics: ServiceStatistics
) -> None:
    def serve(served: ServedVersion) -> None:
        statistics.of(served.model, served.version).success.add(0.001)
        observer.offer(served, {INPUT: usual_rows(4)})

    other = ServedVersion("other", 1, served.manifest, served.engine)
    sink.gate.clear()
    observer = observers(sink)
    for one in (served, served, other, served, other, served):
        serve(one)
    sink.gate.set()
    assert sink.next().skipped == 0
    for one, count in ((served, 3), (other, 2), (served, 0)):
        until_idle(observer)
        serve(one)
        found = sink.next()
        assert (found.model, found.rows, found.skipped) == (one.model, 4, count)


def test_its_budget_pays_for_an_observation_but_not_for_opening_the_model(
    served: ServedVersion, sink: Sink, observers
) -> None:
    budget, seconds = Spent(), itertools.count()
    opened = []

    def open_slowly(served: ServedVersion) -> ObservedModel:
        for _ in range(1000):
            next(seconds)
        opened.append(1)
        return open_observed_model(served)

    observer = observers(sink, open_slowly, budget, clock=lambda: float(next(seconds)))
    for _ in range(3):
        observer.offer(served, {INPUT: usual_rows(4)})
        found = sink.next()
        until_idle(observer)
        # The clock is read after opening, around the observation, and at the end: a second passes between two readings.
        assert (found.seconds, budget.seconds.get(timeout=WAIT)) == (1.0, 3.0)
    assert opened == [1]


def test_what_comes_while_it_rests_is_left_out_and_closing_ends_the_rest(
    served: ServedVersion, sink: Sink, observers
) -> None:
    busy = Budget(percent=1e-9, processor_clock=lambda: 1e9 * monotonic())
    observer = observers(sink, budget=busy)
    observer.offer(served, {INPUT: usual_rows(4)})
    sink.next()
    observer.offer(served, {INPUT: usual_rows(4)})

    assert observer.busy
    close(observer)
    assert sink.observations.empty()


def test_batches_wait_for_the_thread_of_a_process_that_has_spare_time(
    served: ServedVersion, observed_model: ObservedModel, sink: Sink, observers
) -> None:
    idle = Budget(percent=100, processor_clock=lambda: 0.0, clock=itertools.count().__next__)
    idle.spend(0.0, 1)
    sink.gate.clear()
    observer = observers(sink, budget=idle)
    rows = usual_rows(MAX_WAITING_BATCHES + 3)
    for start in range(len(rows)):
        observer.offer(served, {INPUT: rows[start : start + 1]})
    sink.gate.set()
    close(observer)

    found = [sink.next() for _ in range(sink.observations.qsize())]
    waited = sum(each.batches for each in found)
    # The thread has taken some already when the last ones are offered, or none.
    assert MAX_WAITING_BATCHES <= waited == sum(each.rows for each in found)
    assert len(found) < waited
    expected = WindowMoments.of(observed_model.observe({INPUT: rows[:waited]}).layers[NORM])
    merged = found[0].layers[NORM]
    for each in found[1:]:
        merged = merged.merge(each.layers[NORM])
    np.testing.assert_allclose(merged.mean, expected.mean, atol=1e-6)


def test_batches_that_cannot_run_together_are_observed_by_themselves(
    served: ServedVersion, sink: Sink, observers
) -> None:
    other = ServedVersion("other", 1, served.manifest, served.engine)
    idle = Budget(percent=100, processor_clock=lambda: 0.0, clock=itertools.count().__next__)
    idle.spend(0.0, 1)
    observer = observers(sink, budget=idle)
    for one, size in ((served, 20), (served, 10), (served, 3), (other, 4), (served, 5)):
        observer.offer(one, {INPUT: usual_rows(size)})
    close(observer)

    found = [sink.next() for _ in range(sink.observations.qsize())]
    by_version = [(key, list(group)) for key, group in itertools.groupby(found, lambda each: each.model)]
    assert [key for key, _ in by_version] == ["tiny", "other", "tiny"]
    assert [sum(each.rows for each in group) for _, group in by_version] == [33, 4, 5]
    assert max(each.rows for each in found) <= MAX_OBSERVED_ROWS


def test_a_large_batch_is_cut_and_its_buffer_may_be_used_again(
    served: ServedVersion, observed_model: ObservedModel, sink: Sink, observers
) -> None:
    sink.gate.clear()
    rows = usual_rows(100)
    spread = rows[::4].copy()
    observer = observers(sink)
    observer.offer(served, {INPUT: rows})
    rows[:] = np.nan
    sink.gate.set()
    found = sink.next()

    expected = observed_model.observe({INPUT: spread}).layers
    assert found.rows == 25 <= MAX_OBSERVED_ROWS
    np.testing.assert_allclose(found.layers[NORM].mean, WindowMoments.of(expected[NORM]).mean)


def test_large_rows_are_cut_further(
    served: ServedVersion, sink: Sink, observers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer_module, "MAX_OBSERVED_BYTES", 3 * 16)
    observers(sink).offer(served, {INPUT: usual_rows(30)})

    assert sink.next().rows == 3


def test_a_batch_without_rows_is_not_observed(served: ServedVersion, sink: Sink, observers) -> None:
    observer = observers(sink)
    observer.offer(served, {INPUT: usual_rows(0)})

    assert not observer.busy


def test_a_version_without_an_observed_model_is_not_observed(served: ServedVersion, sink: Sink, observers) -> None:
    observer = observers(sink, lambda _served: None)
    observer.offer(served, {INPUT: usual_rows(4)})
    until_idle(observer)

    assert sink.observations.empty()


def test_an_observation_that_fails_does_not_stop_the_next(served: ServedVersion, sink: Sink, observers) -> None:
    observer = observers(sink)
    observer.offer(served, {INPUT: usual_rows(4)[:, :2]})
    until_idle(observer)
    observer.offer(served, {INPUT: usual_rows(4)})

    assert sink.next().rows == 4


def test_rows_for_which_there_is_no_memory_do_not_stop_the_next(
    served: ServedVersion, sink: Sink, observers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_parts: object) -> None:
        raise MemoryError

    observer = observers(sink)
    with monkeypatch.context() as patch:
        patch.setattr(observer_module, "join", refuse)
        observer.offer(served, {INPUT: usual_rows(4)})
        until_idle(observer)
    observer.offer(served, {INPUT: usual_rows(3)})

    assert sink.next().rows == 3
