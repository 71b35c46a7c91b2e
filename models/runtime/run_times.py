"""How long runs of a graph are expected to take: measured when it is loaded, corrected by later runs."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import monotonic, perf_counter

from models.datatypes import Array
from models.manifest import TensorSpec
from models.rows import zeros

SHORT_SECONDS = 0.01
"""Runs that take longer are measured once: the service waits for the measurement when it starts."""

_ROWS = 8
"""Of the run beside which one of one row is measured."""
_DISTRUST_SECONDS = 10.0
"""How long nothing short is expected of a graph after a run that was not."""


class RunTimes:
    """Expected seconds of the runs of one graph; infinite until they are measured.

    Safe to use from several threads: what two learn at once may be lost.
    """

    def __init__(self) -> None:
        self._per_run, self._per_row = inf, 0.0
        self._distrusted_until = 0.0

    def expected(self, rows: int) -> float:
        """Seconds that a run of this many rows takes; infinite where that is not known."""
        if self._distrusted_until and monotonic() < self._distrusted_until:
            return inf
        return self._per_run + rows * self._per_row

    def measure(self, run: Callable[[Mapping[str, Array]], object], inputs: Sequence[TensorSpec], tried: float) -> None:
        """Measure seconds a run and seconds a row, with zeros.

        Args:
            run: of the graph, on inputs by name.
            inputs: of the graph; free axes but the first are not expected.
            tried: seconds that a run of one row took before. If that is long, it is believed.
        """
        one = tried if tried > SHORT_SECONDS else _fastest(run, inputs, 1)
        self._per_run, self._per_row = one, 0.0
        if one <= SHORT_SECONDS and all(spec.has_free_first_axis for spec in inputs):
            self._per_row = max(_fastest(run, inputs, _ROWS) - one, 0.0) / (_ROWS - 1)
            self._per_run = max(one - self._per_row, 0.0)

    def expect(self, per_row: float) -> None:
        """Expect so many seconds a row, until runs are measured."""
        self._per_run, self._per_row = 0.0, per_row

    def learn(self, rows: int, seconds: float) -> None:
        """Expect less from now on, where a run of one row took less than those that were measured.

        Other work may have delayed those: several services that start on one machine, for example.
        """
        expected = self._per_run + self._per_row
        if rows == 1 and seconds < expected < inf:
            self._per_run *= seconds / expected
            self._per_row *= seconds / expected

    def distrust(self, *, for_ever: bool) -> None:
        """Expect nothing short for ever, or for a while: a run that was to be short may have had no processor."""
        self._distrusted_until = inf if for_ever else monotonic() + _DISTRUST_SECONDS

    def trust(self) -> None:
        """Forget that a run took too long."""
        self._distrusted_until = 0.0


def _fastest(run: Callable[[Mapping[str, Array]], object], inputs: Sequence[TensorSpec], rows: int) -> float:
    """Seconds of the fastest of three runs, after one that is not measured; of one run that takes long."""
    feeds = {spec.name: zeros(spec, rows) for spec in inputs}
    run(feeds)
    seconds = []
    for _ in range(3):
        start = perf_counter()
        run(feeds)
        seconds.append(perf_counter() - start)
        if seconds[0] > SHORT_SECONDS:
            break
    return min(seconds)
