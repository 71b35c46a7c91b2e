"""Runs the observed graph on a sample of the served batches, beside the predictions and never before them.

A batch is offered when its predictions are ready, and taken if the observer is idle and has rested long enough: it
holds a budget of processor time by itself, whatever the model costs. What is not taken is counted. One thread does
the rest, at a lower priority than those that answer; what it finds goes to a sink, and where that leads is no concern
of the observer.
"""

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from queue import SimpleQueue
from time import perf_counter, process_time, thread_time
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from models.classification import count_classes, predicted_classes
from models.drift.detector import Detector
from models.errors import DengeError, InvalidInput
from models.moments import codec
from models.moments.window import WindowMoments
from models.observation import Reader, RowStatistics
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.host import priority
from service.telemetry.statistics import ServiceStatistics
from service.wire import arrays

log = structlog.get_logger()

Array = NDArray[Any]
Inputs = Mapping[str, Array]

MAX_ROWS = 32
"""Of one observation: a large batch must not keep a processor busy for long."""

MAX_BYTES = 1 << 20
"""Likewise, of its inputs: they are copied on the event loop."""

HEAD_START = 0.25
"""Enough for the first windows of a small model."""


_PATIENCE = 5
"""How many times as long as its budget asks it rests at most, while the service hardly does anything."""


@dataclass(frozen=True)
class Observation:
    """What one observation adds.

    Attributes:
        model, version: what was observed.
        layers: moments by name.
        classes: rows by predicted class, shape (K,), int64; empty for a model that does not classify.
        batches: observations that are in it.
        skipped: batches that were not observed since the last delta.
        seconds: of processor time that it took.
    """

    model: str
    version: int
    layers: Mapping[str, WindowMoments]
    classes: NDArray[np.int64]
    batches: int = 1
    skipped: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows observed."""
        return max((moments.count for moments in self.layers.values()), default=0)

    def to_bytes(self) -> bytes:
        """For another process."""
        layout, moments = codec.encode([self.layers])
        header = {
            "model": self.model,
            "version": self.version,
            "moments": layout,
            "batches": self.batches,
            "skipped": self.skipped,
            "seconds": self.seconds,
        }
        return arrays.write(header, {"classes": self.classes, "moments": moments})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Observation":
        """What `to_bytes` gave.

        Raises:
            InvalidInput: it did not give this.
        """
        try:
            header, found = arrays.read(BytesIO(data))
            (layers,) = codec.decode(header["moments"], found["moments"])
            spent = header["batches"], header["skipped"], header["seconds"]
            return cls(header["model"], header["version"], layers, found["classes"], *spent)
        except (ValueError, TypeError, LookupError, EOFError) as error:
            raise InvalidInput("is not what one process tells another of its observations", "delta") from error


class ObservedModel:
    """Runs the observed graph of one version.

    Args:
        served: the version.
        engine: of its observed graph.
    """

    def __init__(self, served: ServedVersion, engine: Engine) -> None:
        self._engine = engine
        self._reader = Reader(served.manifest.norm_layers, engine.output_names)
        self._detector = Detector(served.manifest.drift)
        self._scores = served.manifest.outputs[0].name
        self._num_classes = served.manifest.num_classes

    def observe(self, inputs: Inputs) -> tuple[dict[str, RowStatistics], NDArray[np.int64]]:
        """What each layer meets in these rows, and how many of those with a prediction fall into each class.

        Raises:
            InferenceFailed: the runtime broke on these inputs.
        """
        outputs = self._engine.run(inputs)
        classes = np.zeros(0, np.int64)
        if self._num_classes is not None:
            scores = outputs[self._scores]
            scores = scores[np.isfinite(scores).all(axis=1)]
            classes = count_classes(predicted_classes(scores), self._num_classes)
        with np.errstate(invalid="ignore", over="ignore"):  # rows that overflow are not recorded
            return self._reader.read(outputs), classes

    def score(self, inputs: Inputs) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
        """How unusual each row is, 1 being the threshold, and the name of its most deviant layer, shape (rows,) each.

        Raises:
            InvalidInput: the version has no reference to compare with.
            InferenceFailed: the runtime broke on these inputs.
        """
        rows, _ = self.observe(inputs)
        scores, deviant = self._detector.row_scores(rows)
        return scores, np.array(list(rows), dtype=object)[deviant]

    def score_layers(self, inputs: Inputs) -> dict[str, NDArray[np.float64]]:
        """How unusual each row is in each layer, 1 being the layer's threshold, shape (rows,).

        Raises:
            InvalidInput: the version has no reference to compare with.
            InferenceFailed: the runtime broke on these inputs.
        """
        rows, _ = self.observe(inputs)
        return self._detector.layer_scores(rows)


class ObservedModels:
    """The observed_models of the versions that were observed, made when they are needed. Safe to use from any thread.

    A observed_model lives as long as its version is served.

    Args:
        make: makes the observed_model of a version; None where its bundle has no observed graph.
    """

    def __init__(self, make: Callable[[ServedVersion], ObservedModel | None]) -> None:
        self._make = make
        self._made: dict[int, ObservedModel | None] = {}
        self._making = threading.Lock()

    def of(self, served: ServedVersion) -> ObservedModel | None:
        """The observed_model of a version; None where there can be none. The first call of a version takes a while."""
        with self._making:
            if id(served) not in self._made:
                self._made[id(served)] = self._try(served)
                weakref.finalize(served, self._made.pop, id(served)).atexit = False
            return self._made[id(served)]

    def scorer(self, served: ServedVersion) -> ObservedModel | None:
        """The same, where the version has held-out rows to score others by."""
        return None if served.manifest.drift is None else self.of(served)

    def _try(self, served: ServedVersion) -> ObservedModel | None:
        try:
            return self._make(served) if served.is_batchable else None
        except (DengeError, OSError) as error:
            log.error("not_observed", model=served.model, version=served.version, exc_info=error)
            return None


class Observer:
    """Watches what a batcher serves.

    Args:
        observed_models: of the versions.
        sink: takes what was found, in the observer's thread.
        percent: of the processor time of this process that observing may take, and of one processor, up to 100. Where
            the process takes less than a fifth of a processor, a fifth counts.
        statistics: of this process, where requests are counted.
        head_start: seconds of processor time that are not rested for, so that there is something to see soon.

    Attributes:
        busy: observing or resting, so that what is offered is left out. The thread looks at the clock, not who offers.
    """

    def __init__(
        self,
        observed_models: "ObservedModels",
        sink: Callable[[Observation], None],
        percent: float,
        statistics: ServiceStatistics,
        head_start: float = 0.0,
    ) -> None:
        self._head_start = head_start
        self._watchers = observed_models
        self._statistics = statistics
        self._sink = sink
        self._rest_per_second = 100 / percent - 1
        self._queue: SimpleQueue[tuple[ServedVersion, Inputs, int] | None] = SimpleQueue()
        self.busy = False
        self._closing = threading.Event()
        self._answered: dict[tuple[str, int], int] = {}
        self._thread = threading.Thread(target=self._work, name="observer", daemon=True)
        self._thread.start()

    def offer(self, served: ServedVersion, inputs: Inputs) -> None:
        """Offer a batch that has been answered; on the event loop, in constant time."""
        if self.busy or not (rows := served.count_rows(inputs)):
            return
        self.busy = True
        row_bytes = sum(array.nbytes for array in inputs.values()) // rows
        most = max(1, min(MAX_ROWS, MAX_BYTES // max(row_bytes, 1)))
        # Spread over the batch, since neighbours in it may be alike. A copy: the arrays may be views of a buffer that
        # its owner uses again.
        taken = {name: array[:: ceil(rows / most)].copy() for name, array in inputs.items()}
        # Counted by the difference, since nothing is to be done for a request that is left out.
        answered = self._statistics.of(served.model, served.version).success.count
        skipped = max(answered - self._answered.get((served.model, served.version), 0) - 1, 0)
        self._answered[served.model, served.version] = answered
        self._queue.put((served, taken, skipped))

    def close(self) -> None:
        """Finish what has been begun."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        priority.lower()
        while (taken := self._queue.get()) is not None:
            served = taken[0]
            began = thread_time()
            try:
                self._watchers.of(served)
                began = thread_time()  # it is opened once, and not for the budget to pay
                self._observe(*taken)
            except Exception as error:  # whatever it was, the next batch is another one
                log.error("observation_failed", model=served.model, version=served.version, exc_info=error)
            del served, taken  # or a version that is unloaded would live on here
            spent = thread_time() - began
            self._head_start -= spent
            if self._head_start <= 0:
                self._rest(spent * self._rest_per_second)
            self.busy = False

    def _rest(self, seconds: float) -> None:
        """Until so much time has passed, and the process has done so much; or much more time, or it closes."""
        overdue, spent = perf_counter() + _PATIENCE * seconds, process_time() + seconds
        closing = self._closing.wait(seconds)
        while not closing and process_time() < spent and perf_counter() < overdue:
            closing = self._closing.wait(seconds / 4)

    def _observe(self, served: ServedVersion, inputs: Inputs, skipped: int) -> None:
        observed_model = self._watchers.of(served)
        if observed_model is None:
            return
        began = thread_time()
        rows, classes = observed_model.observe(inputs)
        layers = {name: WindowMoments.of(found) for name, found in _finite(rows).items()}
        seconds = thread_time() - began
        self._sink(Observation(served.model, served.version, layers, classes, 1, skipped, seconds))


def _finite(layers: dict[str, RowStatistics]) -> dict[str, RowStatistics]:
    """Without the rows that overflow or that hold NaN: one of them, and a window would know nothing any more."""
    found = [values for rows in layers.values() for values in (rows.mean, rows.mean_square)]
    kept = np.isfinite(np.hstack(found)).all(axis=1) if found else np.ones(0, bool)
    if kept.all():
        return layers
    return {name: RowStatistics(rows.mean[kept], rows.mean_square[kept]) for name, rows in layers.items()}
