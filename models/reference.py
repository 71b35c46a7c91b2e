"""Rows -> what is expected of a version's layers: z units where a layer has none of its own, and drift thresholds."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.classification import predicted_classes
from models.datatypes import Arrays
from models.drift import calibration
from models.manifest import DriftReference, TensorSpec, WatchedLayer, channels
from models.observation import ObservationReader, RowStatistics, Units
from models.rows import count_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph

_BATCH_ROWS = 256
_MIN_SPREAD = 1e-3
"""Of the median spread of a layer's channels: one that hardly varies is not magnified further."""


class Reference(NamedTuple):
    """What is expected of a version's layers.

    Attributes:
        layers: with z units, where they had none.
        drift: None where there are too few rows.
    """

    layers: tuple[WatchedLayer, ...]
    drift: DriftReference | None


def sample_rows(count: int) -> NDArray[np.int64]:
    """Ascending indices of the rows that set the thresholds: at most `MAX_HELD_OUT_ROWS`, drawn with a fixed seed."""
    return np.sort(np.random.default_rng(0).permutation(count)[: calibration.MAX_HELD_OUT_ROWS])


def estimate_reference(
    observed: SerializedGraph | None, layers: Sequence[WatchedLayer], output: TensorSpec, rows: Arrays | None
) -> Reference:
    """Statistics of the rows in the observed graph, and thresholds from them.

    Args:
        observed: the serialized observed graph; None for a version that is not observed.
        layers: of the version.
        output: the first of the version.
        rows: for every input, shape (n, ...); None without any.

    Raises:
        GraphError: onnxruntime cannot run the graph on the rows.
    """
    unchanged = Reference(tuple(layers), None)
    if observed is None or rows is None:
        return unchanged
    chosen = sample_rows(count_rows(rows))
    if len(chosen) < calibration.MIN_HELD_OUT_ROWS:
        return unchanged
    run = load(observed, optimize=True)
    parts: dict[str, list[RowStatistics]] = {}
    predicted = []
    for batch in _batches(rows, chosen):
        outputs = run(batch)
        for name, statistics in ObservationReader(layers, outputs).read(outputs).items():
            parts.setdefault(name, []).append(statistics)
        if output.num_classes is not None:
            predicted.append(predicted_classes(outputs[output.name]))
    if not parts:
        return unchanged
    by_layer = {name: RowStatistics.concatenate(found) for name, found in parts.items()}
    units = {layer.name: layer for layer in layers}
    for name, statistics in by_layer.items():
        if units[name].gamma is None and units[name].placement.scale is None:
            units[name] = _with_units(units[name], statistics)
            by_layer[name] = Units.of(units[name]).read(statistics.mean, statistics.mean_square)
    classes = np.concatenate(predicted) if predicted else None
    return Reference(tuple(units.values()), calibration.estimate(by_layer, classes, output.num_classes or 0))


def _with_units(layer: WatchedLayer, rows: RowStatistics) -> WatchedLayer:
    """The layer with a scale and shift after which the rows have mean 0 and variance 1 in every channel."""
    mean: Float64 = rows.mean.mean(axis=0)
    spread = np.sqrt(np.maximum(rows.mean_square.mean(axis=0) - mean**2, 0))
    floor = _MIN_SPREAD * float(np.median(spread))
    scale = (1 / np.maximum(spread, floor if floor > 0 else 1.0)).astype(np.float32)
    shift = (-mean * scale).astype(np.float32)
    placement = layer.placement.model_copy(update={"scale": channels(scale), "shift": channels(shift)})
    return layer.model_copy(update={"placement": placement})


def _batches(rows: Arrays, chosen: NDArray[np.int64]) -> Iterator[Arrays]:
    for start in range(0, len(chosen), _BATCH_ROWS):
        part = chosen[start : start + _BATCH_ROWS]
        yield {name: values[part] for name, values in rows.items()}
