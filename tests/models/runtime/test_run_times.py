"""Expected seconds of runs, with a clock of the test's."""

from collections.abc import Mapping
from math import inf

import pytest

from models.datatypes import Array
from models.manifest import TensorSpec
from models.rows import count_rows
from models.runtime import run_times
from models.runtime.run_times import RunTimes

ROWS = (TensorSpec(name="input", datatype="FP32", shape=(-1, 4)),)
ONE_ROW = (TensorSpec(name="input", datatype="FP32", shape=(1, 4)),)


class Graph:
    """Runs that take so many seconds, and so many for each row; the first one takes a minute."""

    def __init__(self, per_run: float, per_row: float) -> None:
        self.now = 0.0
        self.sizes: list[int] = []
        self._per_run, self._per_row = per_run, per_row

    def run(self, inputs: Mapping[str, Array]) -> None:
        rows = count_rows(inputs)
        self.now += self._per_run + rows * self._per_row if rows in self.sizes else 60.0
        self.sizes.append(rows)


def measured(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, inputs: tuple[TensorSpec, ...] = ROWS, tried: float = 0.0
) -> RunTimes:
    monkeypatch.setattr(run_times, "perf_counter", lambda: graph.now)
    monkeypatch.setattr(run_times, "monotonic", lambda: graph.now)
    times = RunTimes()
    times.measure(graph.run, inputs, tried)
    return times


def test_nothing_is_expected_before_it_is_measured() -> None:
    times = RunTimes()

    times.learn(1, 1e-6)

    assert times.expected(1) == inf


def test_times_grow_with_the_rows_and_the_first_run_of_a_size_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    times = measured(monkeypatch, Graph(0.002, 0.0005))

    assert [times.expected(rows) for rows in (1, 8, 32)] == pytest.approx([0.0025, 0.006, 0.018])


def test_a_run_without_an_axis_of_rows_takes_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph(0.002, 0.0005)
    times = measured(monkeypatch, graph, ONE_ROW)

    assert times.expected(1) == times.expected(8) == pytest.approx(0.0025)
    assert set(graph.sizes) == {1}


@pytest.mark.parametrize(("tried", "runs"), [(0.0, 2), (0.02, 0)])
def test_long_runs_are_measured_once(monkeypatch: pytest.MonkeyPatch, tried: float, runs: int) -> None:
    graph = Graph(0.01, 0.01)
    times = measured(monkeypatch, graph, tried=tried)

    assert times.expected(1) == pytest.approx(0.02)
    assert len(graph.sizes) == runs


def test_less_is_expected_after_a_run_of_one_row_that_took_less(monkeypatch: pytest.MonkeyPatch) -> None:
    times = measured(monkeypatch, Graph(0.002, 0.0005))

    times.learn(8, 0.0006)
    times.learn(1, 0.005)
    assert times.expected(1) == pytest.approx(0.0025)
    times.learn(1, 0.00025)
    assert [times.expected(rows) for rows in (1, 8)] == pytest.approx([0.00025, 0.0006])


@pytest.mark.parametrize(("for_ever", "afterwards"), [(False, 0.0025), (True, inf)])
def test_nothing_short_is_expected_after_a_run_that_was_ended(
    monkeypatch: pytest.MonkeyPatch, for_ever: bool, afterwards: float
) -> None:
    graph = Graph(0.002, 0.0005)
    times = measured(monkeypatch, graph)

    times.distrust(for_ever=for_ever)
    assert times.expected(1) == inf
    graph.now += 3600.0
    assert times.expected(1) == pytest.approx(afterwards)
    times.trust()
    assert times.expected(1) == pytest.approx(0.0025)
