"""What a bundle needs so that its layers can be watched: the observed graph, and what held-out rows make it say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from models.classification import predicted_classes
from models.datatypes import Arrays
from models.drift import calibration
from models.graph.load import serialize
from models.graph.observe import observe
from models.manifest import DriftReference, NormLayer, ParityComparison, TensorSpec
from models.observation import Reader, RowStatistics
from models.parity.check import check_observed
from models.runtime.load import load

MAX_ROWS = 5000
"""Held-out rows that are looked at. More hardly change the thresholds, and would leave none to check them on."""

_BATCH_ROWS = 256


@dataclass(frozen=True)
class Watched:
    """What a bundle gets.

    Attributes:
        observed: the serialized observed graph.
        comparison: of its predictions with those of the folded graph.
        drift: None without held-out rows, or with too few.
    """

    observed: bytes
    comparison: ParityComparison
    drift: DriftReference | None


def watch(
    folded: onnx.ModelProto,
    layers: tuple[NormLayer, ...],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    held_out: Arrays | None = None,
) -> Watched:
    """Make the observed graph, compare it, and let the held-out rows set its thresholds.

    Args:
        folded: the folded graph.
        layers: with their placements in it.
        inputs, outputs: of the model.
        held_out: rows that the network did not learn from, for every input; of more than `MAX_ROWS`, `choose` says
            which are looked at.

    Raises:
        GraphError: a layer cannot be observed, or the runtime cannot run the graph.
        ParityError: the observed graph predicts something else.
    """
    observed = observe(folded, layers)
    data = serialize(observed)
    comparison = check_observed(serialize(folded), data, inputs)
    drift = None
    if held_out is not None:
        chosen = choose(len(next(iter(held_out.values()))))
        if len(chosen) >= calibration.MIN_HELD_OUT_ROWS:
            rows = {name: values[chosen] for name, values in held_out.items()}
            drift = _reference(data, observed, layers, outputs, rows)
    return Watched(data, comparison, drift)


def choose(rows: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Which of so many held-out rows are looked at: ascending indices, at most `MAX_ROWS`, drawn at random."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_ROWS])


def _reference(
    data: bytes,
    observed: onnx.ModelProto,
    layers: tuple[NormLayer, ...],
    outputs: Sequence[TensorSpec],
    rows: Arrays,
) -> DriftReference:
    reader = Reader(layers, (value.name for value in observed.graph.output))
    run = load(data, optimize=True)
    num_classes = outputs[0].num_classes
    found: dict[str, list[RowStatistics]] = {name: [] for name in reader.seen}
    predicted = []
    for start in range(0, len(next(iter(rows.values()))), _BATCH_ROWS):
        answers = run({name: values[start : start + _BATCH_ROWS] for name, values in rows.items()})
        for name, statistics in reader.read(answers).items():
            found[name].append(statistics)
        if num_classes is not None:
            predicted.append(predicted_classes(answers[outputs[0].name]))
    joined = {
        name: RowStatistics(
            np.concatenate([part.mean for part in parts]), np.concatenate([part.mean_square for part in parts])
        )
        for name, parts in found.items()
    }
    return calibration.estimate(joined, np.concatenate(predicted) if predicted else None, num_classes or 0)
