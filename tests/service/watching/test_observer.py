"""Observing keeps to its budget, keeps nobody waiting, and finds what an oracle finds."""

import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.errors import InvalidInput
from models.moments.window import WindowMoments
from models.observation import RowStatistics
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.telemetry.statistics import ServiceStatistics
from service.watching import observer as observer_module
from service.watching.observer import MAX_ROWS, Observation, ObservedModel, ObservedModels, Observer
from tests.bundles import INPUT, NORM, tiny_bundle
from tests.watching import usual_rows, watched_bundle

WAIT = 30


@pytest.fixture(scope="module")
def served() -> ServedVersion:
    bundle = watched_bundle()
    return ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))


def make(served: ServedVersion) -> ObservedModel:
    bundle = watched_bundle()
    return ObservedModel(served, Engine(bundle.observed, bundle.manifest.inputs))


class Sink:
    """Takes deltas, when it is let."""

    def __init__(self) -> None:
        self.deltas: SimpleQueue[Observation] = SimpleQueue()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, delta: Observation) -> None:
        assert self.gate.wait(WAIT)
        self.deltas.put(delta)

    def next(self) -> Observation:
        return self.deltas.get(timeout=WAIT)


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
        make: Callable[[ServedVersion], ObservedModel | None] = make,
        percent: float = 100,
        head_start: float = 0.0,
    ) -> Observer:
        made.append(Observer(ObservedModels(make), sink, percent, statistics, head_start))
        return made[-1]

    yield start
    for observer in made:
        observer.close()


def until_idle(observer: Observer) -> None:
    """Until its thread is back at its queue."""
    while observer.busy:
        threading.Event().wait(0.001)


def test_what_it_finds_is_what_the_folded_graph_holds(served: ServedVersion, sink: Sink, observers) -> None:
    rows = usual_rows(20)
    observers(sink).offer(served, {INPUT: rows})
    delta = sink.next()

    layer = served.layer(NORM)
    folded = onnx.load_from_string(tiny_bundle().folded)
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in folded.graph.initializer}
    weight, bias = weights["fc.weight"], weights["fc.bias"]
    z = (rows @ weight.T + bias - layer.beta) / np.abs(layer.gamma)
    np.testing.assert_allclose(delta.layers[NORM].mean, z.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(delta.layers[NORM].variance, z.var(axis=0), atol=1e-4)
    predicted = served.engine.run({INPUT: rows})["logits"].argmax(axis=1)
    assert delta.classes.tolist() == np.bincount(predicted, minlength=2).tolist()
    assert (delta.model, delta.version, delta.rows, delta.batches) == ("tiny", 1, 20, 1)


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


def test_nothing_but_rows_that_are_not_finite_is_nothing(served: ServedVersion, sink: Sink, observers) -> None:
    observers(sink).offer(served, {INPUT: np.full((2, 4), np.nan, np.float32)})
    delta = sink.next()

    assert (delta.layers[NORM].count, delta.classes.tolist()) == (0, [0, 0])


def test_a_batch_that_comes_while_it_is_busy_is_counted_and_left_out(
    served: ServedVersion, sink: Sink, observers, statistics: ServiceStatistics
) -> None:
    def answer(served: ServedVersion) -> None:
        statistics.of(served.model, served.version).success.add(0.001)
        observer.offer(served, {INPUT: usual_rows(4)})

    other = ServedVersion("other", 1, served.manifest, served.engine)
    sink.gate.clear()
    observer = observers(sink)
    for one in (served, served, other, served, other, served):
        answer(one)
    sink.gate.set()
    assert sink.next().skipped == 0
    for one, count in ((served, 3), (other, 2), (served, 0)):
        until_idle(observer)
        answer(one)
        delta = sink.next()
        assert (delta.model, delta.rows, delta.skipped) == (one.model, 4, count)


@pytest.mark.parametrize(("share", "rested"), [(2.0, 9.0), (1.0, 9.0), (0.5, 18.0), (0.1, 45.0), (0.0, 45.0)])
def test_its_budget_is_a_share_of_the_time_and_of_what_the_process_does(
    sink: Sink, observers, monkeypatch, share: float, rested: float
) -> None:
    """`share` of a processor is what the process takes meanwhile."""
    now = [1000.0]
    observer = observers(sink)
    monkeypatch.setattr(observer_module, "perf_counter", lambda: now[0])
    monkeypatch.setattr(observer_module, "process_time", lambda: share * now[0])

    class Closing(threading.Event):
        def wait(self, seconds: float | None = None) -> bool:
            now[0] += seconds
            return False

    monkeypatch.setattr(observer, "_closing", Closing())
    observer._rest(9.0)

    assert now[0] - 1000 == pytest.approx(rested)


def test_it_rests_in_proportion_to_what_an_observation_took(
    served: ServedVersion, sink: Sink, observers, monkeypatch
) -> None:
    thread_time = itertools.count(0, 1 / 3)  # asked four times from the beginning of an observation to its end
    monkeypatch.setattr(observer_module, "thread_time", lambda: next(thread_time))
    observer = observers(sink, percent=10)
    rests: SimpleQueue[float] = SimpleQueue()
    monkeypatch.setattr(observer, "_rest", rests.put)
    observer.offer(served, {INPUT: usual_rows(4)})

    assert rests.get(timeout=WAIT) == pytest.approx(9)


def test_it_rests_for_nothing_of_its_head_start(served: ServedVersion, sink: Sink, observers, monkeypatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr("service.watching.observer.thread_time", lambda: float(next(seconds)))
    observer = observers(sink, percent=50, head_start=8.0)
    rests: SimpleQueue[float] = SimpleQueue()
    monkeypatch.setattr(observer, "_rest", rests.put)
    for _ in range(4):
        observer.offer(served, {INPUT: usual_rows(4)})
        sink.next()
        until_idle(observer)

    # Each observation takes three seconds of this clock: the third is the first that goes beyond eight.
    assert [rests.get(timeout=WAIT) for _ in range(2)] == [3.0, 3.0]
    assert rests.empty()


def test_what_comes_while_it_rests_is_left_out_and_closing_ends_the_rest(
    served: ServedVersion, sink: Sink, observers
) -> None:
    observer = observers(sink, percent=1e-9)
    observer.offer(served, {INPUT: usual_rows(4)})
    sink.next()
    observer.offer(served, {INPUT: usual_rows(4)})

    assert observer.busy
    assert observer._queue.empty()


def test_a_large_batch_is_cut_and_its_buffer_may_be_used_again(served: ServedVersion, sink: Sink, observers) -> None:
    sink.gate.clear()
    rows = usual_rows(100)
    spread = rows[::4].copy()
    observer = observers(sink)
    observer.offer(served, {INPUT: rows})
    rows[:] = np.nan
    sink.gate.set()
    delta = sink.next()

    expected, _ = make(served).observe({INPUT: spread})
    assert delta.rows == 25 <= MAX_ROWS
    np.testing.assert_allclose(delta.layers[NORM].mean, WindowMoments.of(expected[NORM]).mean)


def test_large_rows_are_cut_further(served: ServedVersion, sink: Sink, observers, monkeypatch) -> None:
    monkeypatch.setattr(observer_module, "MAX_BYTES", 3 * 16)
    observers(sink).offer(served, {INPUT: usual_rows(30)})

    assert sink.next().rows == 3


def test_no_rows_are_nothing_to_observe(served: ServedVersion, sink: Sink, observers) -> None:
    observer = observers(sink)
    observer.offer(served, {INPUT: usual_rows(0)})

    assert not observer.busy


def test_a_watcher_goes_with_its_version() -> None:
    bundle = watched_bundle()
    served = ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))
    observed_models = ObservedModels(make)
    observed_model = weakref.ref(observed_models.of(served))
    assert observed_models.of(served) is observed_model()

    del served
    gc.collect()
    assert observed_model() is None
    assert not observed_models._made


def test_a_bundle_that_cannot_be_read_is_not_asked_for_again(served: ServedVersion, sink: Sink, observers) -> None:
    asked = []

    def broken(_served: ServedVersion) -> ObservedModel:
        asked.append(1)
        raise FileNotFoundError("pruned meanwhile")

    observer = observers(sink, broken)
    for _ in range(2):
        observer.offer(served, {INPUT: usual_rows(4)})
        until_idle(observer)

    assert asked == [1]


def test_a_version_without_an_observed_graph_is_asked_for_once(served: ServedVersion, sink: Sink, observers) -> None:
    asked = threading.Semaphore(0)

    def none(_served: ServedVersion) -> None:
        asked.release()

    observer = observers(sink, none)
    for _ in range(3):
        observer.offer(served, {INPUT: usual_rows(4)})
        until_idle(observer)

    assert asked.acquire(blocking=False)
    assert not asked.acquire(blocking=False)
    assert sink.deltas.empty()


def test_one_that_fails_does_not_stop_the_next(served: ServedVersion, sink: Sink, observers) -> None:
    observer = observers(sink)
    observer.offer(served, {INPUT: usual_rows(4)[:, :2]})
    until_idle(observer)
    observer.offer(served, {INPUT: usual_rows(4)})

    assert sink.next().rows == 4


def test_a_delta_survives_the_way_to_another_process() -> None:
    rows, classes = observed()
    delta = Observation("tiny", 3, {NORM: WindowMoments.of(rows)}, classes, batches=2, skipped=7, seconds=0.25)
    again = Observation.from_bytes(delta.to_bytes())

    assert (again.model, again.version, again.batches, again.skipped, again.seconds) == ("tiny", 3, 2, 7, 0.25)
    assert again.classes.tolist() == classes.tolist()
    assert again.layers[NORM].count == 5
    assert np.array_equal(again.layers[NORM].variance_error, delta.layers[NORM].variance_error)


def observed() -> tuple[RowStatistics, np.ndarray]:
    bundle = watched_bundle()
    served = ServedVersion("tiny", 1, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))
    rows, classes = make(served).observe({INPUT: usual_rows(5)})
    return rows[NORM], classes


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -8])
def test_a_damaged_delta_is_refused(cut: int) -> None:
    rows, classes = observed()
    data = Observation("tiny", 1, {NORM: WindowMoments.of(rows)}, classes).to_bytes()

    with pytest.raises(InvalidInput, match="delta"):
        Observation.from_bytes(data[:cut])
