"""Runs the adaptive graph of a network: the statistics of its layers' inputs for some rows."""

from dataclasses import dataclass

import numpy as np
import onnx

from models.datatypes import Arrays
from models.drift.divergence import symmetric_kl
from models.errors import InvalidInput
from models.graph.adapt import ESTIMATED, ChannelStatistics, adapt
from models.graph.find import find
from models.graph.load import serialize
from models.manifest import StoredWeights
from models.runtime.load import load

Statistics = dict[str, ChannelStatistics]
"""Mean and variance of each layer's input, by the layer's name."""


@dataclass(frozen=True)
class Pass:
    """One forward pass through the adaptive graph.

    Attributes:
        outputs: of the network.
        batch: statistics of the rows.
        mixed: statistics by which the layers normalised: the stored ones and those of the rows.
        weights: of the stored statistics in these, by layer.
    """

    outputs: Arrays
    batch: Statistics
    mixed: Statistics
    weights: dict[str, StoredWeights]


class AdaptiveNetwork:
    """The adaptive graph of a source graph, ready to run.

    Raises:
        GraphError: as `models.graph.adapt.adapt`.
    """

    def __init__(self, source: onnx.ModelProto) -> None:
        self._eps = {layer.name: layer.eps for layer in find(source)}
        self._adaptive = adapt(source)
        self._run = load(serialize(self._adaptive.model), optimize=True)
        self._outputs = [value.name for value in source.graph.output]

    def run(self, rows: Arrays, prior_weight: float | None = None) -> Pass:
        """Run all rows at once.

        Args:
            rows: for every input of the model, shape (n, ...).
            prior_weight: of the stored statistics: 1 is the source network itself. Each layer estimates its own where
                none is given: see `models.graph.adapt`.

        Raises:
            InvalidInput: the network computes NaN or infinity of a row.
        """
        weight = np.array(ESTIMATED if prior_weight is None else prior_weight, np.float32)
        results = self._run({**rows, self._adaptive.prior_weight: weight})
        batch, mixed, weights = {}, {}, {}
        for layer, names in self._adaptive.layers.items():
            batch[layer] = _statistics(results, names.batch_mean, names.batch_var)
            mixed[layer] = _statistics(results, names.mean, names.var)
            mean, variance = map(float, results[names.weights])
            if not np.isfinite([mean, variance, *batch[layer].mean, *batch[layer].var]).all():
                problem = f"the network computes NaN or infinity of some, first at layer '{layer}': leave these out"
                raise InvalidInput(problem, "rows")
            weights[layer] = StoredWeights(mean=mean, variance=variance)
        return Pass({name: results[name] for name in self._outputs}, batch, mixed, weights)

    def twin(self) -> bytes:
        """The serialized graph of the network whose layers always estimate their weights: same inputs and outputs."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self._adaptive.model)
        del graph.graph.output[len(self._outputs) :]
        kept = [value for value in graph.graph.input if value.name != self._adaptive.prior_weight]
        del graph.graph.input[:]
        graph.graph.input.extend(kept)
        weight = np.array(ESTIMATED, np.float32)
        graph.graph.initializer.append(onnx.numpy_helper.from_array(weight, self._adaptive.prior_weight))
        return serialize(graph)

    def divergence(self, statistics: Statistics, reference: Statistics) -> float:
        """Symmetric KL divergence from the reference, mean over channels and layers, in nats.

        A layer normalises by its variance and epsilon together, so both count as the reference's variance.
        """
        return float(
            np.mean(
                [
                    symmetric_kl(
                        statistics[name].mean, statistics[name].var, reference[name].mean, reference[name].var + eps
                    ).mean()
                    for name, eps in self._eps.items()
                ]
            )
        )


def _statistics(results: Arrays, mean: str, var: str) -> ChannelStatistics:
    return ChannelStatistics(results[mean].astype(np.float64), results[var].astype(np.float64))
