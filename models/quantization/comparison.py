"""What an 8-bit graph changes: its outputs beside the parent's, on rows that its ranges were not measured on."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.classification import Classes, predicted_classes, probabilities
from models.datatypes import Array, Arrays, Run
from models.manifest import Manifest
from models.rows import count_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph

_BATCH_ROWS = 64


@dataclass(frozen=True)
class Comparison:
    """The difference of two versions.

    Attributes:
        rows: that they were compared on.
        loss: in points: of accuracy where labels are known; else of expected accuracy, by the parent's probabilities:
            the average of what it gives its own class less what it gives the other version's. Without classes: of the
            variance of the first output, the share that differs.
        agreement: share of rows with the same class; None without classes.
        max_probability_difference: None without classes.
        accuracy_before, accuracy_after: None without labels.
    """

    rows: int
    loss: float
    agreement: float | None = None
    max_probability_difference: float | None = None
    accuracy_before: float | None = None
    accuracy_after: float | None = None


def compare(
    manifest: Manifest,
    parent: SerializedGraph,
    own: SerializedGraph,
    rows: Arrays,
    labels: NDArray[np.int64] | None = None,
) -> Comparison:
    """Run both graphs.

    Args:
        manifest: of the parent.
        parent, own: serialized graphs.
        rows: for every input, shape (n, ...), at least one.
        labels: indices of the classes, shape (n,).

    Raises:
        GraphError: onnxruntime cannot load a graph, or cannot run it on the rows.
    """
    output = manifest.outputs[0].name
    before, after = (_outputs(load(graph, optimize=True), rows, output) for graph in (parent, own))
    if manifest.num_classes is None:
        return Comparison(len(before), 100 * _unexplained(before, after))
    old, new = (_Scores.of(scores, manifest) for scores in (before, after))
    index = np.arange(len(before))
    expected = old.probabilities[index, old.classes] - old.probabilities[index, new.classes]
    difference = float(np.abs(new.probabilities - old.probabilities).max())
    found = Comparison(
        len(before), 100 * float(expected.mean()), float(np.mean(old.classes == new.classes)), difference
    )
    if labels is None:
        return found
    accuracy = [float(np.mean(scores.classes == labels)) for scores in (old, new)]
    return Comparison(
        found.rows, 100 * (accuracy[0] - accuracy[1]), found.agreement, found.max_probability_difference, *accuracy
    )


class _Scores(NamedTuple):
    probabilities: Float64
    classes: Classes

    @classmethod
    def of(cls, scores: Array, manifest: Manifest) -> "_Scores":
        return cls(probabilities(scores, manifest.scores), predicted_classes(scores))


def _unexplained(before: Array, after: Array) -> float:
    """Mean square of the difference, relative to the variance over rows."""
    old, new = before.astype(np.float64), after.astype(np.float64)
    variance = float(np.square(old - old.mean(axis=0)).mean())
    return float(np.square(new - old).mean()) / variance if variance > 0 else float((new != old).any())


def _outputs(run: Run, rows: Arrays, output: str) -> Array:
    count = count_rows(rows)
    parts = [slice(start, start + _BATCH_ROWS) for start in range(0, count, _BATCH_ROWS)]
    return np.concatenate([run({name: values[part] for name, values in rows.items()})[output] for part in parts])
