"""The observed graph of one version."""

from collections.abc import Mapping
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.classification import count_classes, predicted_classes
from models.datatypes import Arrays
from models.drift.detector import Detector
from models.memory import release_freed
from models.observation import LayerStatistics, ObservationReader
from models.rows import count_rows
from models.runtime.engine import Engine
from models.runtime.run_sizes import run_in_parts
from service.catalog.served_version import ServedVersion

_BLOCK_ROWS = 8
_LARGE_SECONDS = 0.002
"""For one row. Smaller models gain more by many rows in a run than their memory costs."""

Inputs = Mapping[str, NDArray[Any]]


class ObservedRows(NamedTuple):
    """What the observed graph puts out for some rows.

    Attributes:
        layers: the statistics of each row by layer.
        classes: number of rows by predicted class, shape (K,); those without a finite prediction are in none.
        scores: the first output.
    """

    layers: LayerStatistics
    classes: NDArray[np.int64]
    scores: NDArray[Any]


class ObservedModel:
    """Runs the observed graph of a version, and reads what its layers meet.

    Args:
        served: the version.
        engine: of its observed graph.
    """

    def __init__(self, served: ServedVersion, engine: Engine) -> None:
        self._engine = engine
        self._reader = ObservationReader(served.manifest.layers, engine.output_names)
        self._detector = Detector(served.manifest.drift)
        self._scores = served.manifest.outputs[0].name
        self._num_classes = served.manifest.num_classes

    def observe(self, inputs: Inputs) -> ObservedRows:
        """Run the graph on rows.

        Raises:
            InferenceFailed: the runtime failed on these inputs.
        """
        outputs = self._run(inputs)
        classes = np.zeros(0, np.int64)
        if self._num_classes is not None:
            scores = outputs[self._scores]
            finite = scores[np.isfinite(scores).all(axis=1)]
            classes = count_classes(predicted_classes(finite), self._num_classes)
        return ObservedRows(self._read(outputs), classes, outputs[self._scores])

    def _run(self, inputs: Inputs) -> Arrays:
        """All outputs. The rows of a large model run in small blocks: the memory of a run grows with its rows."""
        if self._engine.expected_seconds(1) < _LARGE_SECONDS:
            return self._engine.run(inputs)
        outputs = run_in_parts(self._engine.run, inputs, repeat(_BLOCK_ROWS))
        if count_rows(inputs) > 1:
            release_freed()  # tens of megabytes; of one row it would take longer than it is worth
        return outputs

    def observe_layers(self, inputs: Inputs) -> LayerStatistics:
        """The statistics of each row by layer, also where the graph has no other outputs.

        Raises:
            InferenceFailed: the runtime failed on these inputs.
        """
        return self._read(self._engine.run(inputs))

    def _read(self, outputs: Arrays) -> LayerStatistics:
        with np.errstate(invalid="ignore", over="ignore"):  # rows that overflow are not recorded
            return self._reader.read(outputs)

    def score(self, inputs: Inputs) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
        """Returns each row's drift score, 1 being the threshold, and the name of its most deviant layer, shape (rows,).

        Raises:
            InvalidInput: the version has no reference to compare with.
            InferenceFailed: the runtime failed on these inputs.
        """
        rows = self.observe(inputs).layers
        scores, deviant = self._detector.row_scores(rows)
        return scores, np.array(list(rows), dtype=object)[deviant]

    def score_layers(self, inputs: Inputs) -> dict[str, NDArray[np.float64]]:
        """Returns each row's drift score in each layer, 1 being the layer's threshold, shape (rows,).

        Raises:
            InvalidInput: the version has no reference to compare with.
            InferenceFailed: the runtime failed on these inputs.
        """
        rows = self.observe(inputs).layers
        return self._detector.layer_scores(rows)
