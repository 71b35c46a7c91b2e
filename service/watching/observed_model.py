"""The observed graph of one version."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.classification import count_classes, predicted_classes
from models.drift.detector import Detector
from models.observation import ObservationReader, RowStatistics
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion

Inputs = Mapping[str, NDArray[Any]]


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

    def observe(self, inputs: Inputs) -> tuple[dict[str, RowStatistics], NDArray[np.int64]]:
        """Returns the statistics of each row by layer, and the number of rows by predicted class, shape (K,).

        Rows without a finite prediction are in no class.

        Raises:
            InferenceFailed: the runtime failed on these inputs.
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
        """Returns each row's drift score, 1 being the threshold, and the name of its most deviant layer, shape (rows,).

        Raises:
            InvalidInput: the version has no reference to compare with.
            InferenceFailed: the runtime failed on these inputs.
        """
        rows, _ = self.observe(inputs)
        scores, deviant = self._detector.row_scores(rows)
        return scores, np.array(list(rows), dtype=object)[deviant]

    def score_layers(self, inputs: Inputs) -> dict[str, NDArray[np.float64]]:
        """Returns each row's drift score in each layer, 1 being the layer's threshold, shape (rows,).

        Raises:
            InvalidInput: the version has no reference to compare with.
            InferenceFailed: the runtime failed on these inputs.
        """
        rows, _ = self.observe(inputs)
        return self._detector.layer_scores(rows)
