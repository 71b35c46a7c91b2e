"""The comparisons that graphs must pass before they are published.

Every graph runs in onnxruntime, the folded graph twice: with its own graph optimisations and without, since `predict`
runs with them and they are the part that is least ours. The reference is the network itself in float64 where there is
one, else the source graph. Batches of several sizes exercise the free batch axis.

Norm layers are compared one by one, by the moments of their outputs in the observed graph and in the source graph: a
wrong weight that changes the network's output by less than rounding does is found at its own layer.

Finally, no row may depend on another: while every second row is replaced, the outputs of the others must stay.

Tolerances come from the source graph itself: see `models.parity.rounding`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from models.datatypes import Arrays, Run
from models.errors import ParityError
from models.graph.weights import split_model
from models.manifest import NormLayer, Parity, ParityComparison, TensorSpec
from models.observation import ObservationReader, is_observation
from models.parity import rounding
from models.parity.comparison import compare
from models.parity.rows import kept_rows, mix_rows
from models.progress import Progress, silent
from models.rows import count_rows, random_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph

_BATCHES = (1, 3, 17)
_MOST_VALUES = 1 << 17
"""Of the inputs of a batch. Larger batches than the second are left out: a network of large images takes its time."""

_REAL_ROWS = 32

ORACLE = "torch, float64"

_STEP = "comparing the graphs"


_MOMENTS = "moments of "

_T = TypeVar("_T")


@dataclass(frozen=True)
class WatchedGraph:
    """A serialized graph whose further outputs are the moments of norm layers.

    Attributes:
        graph: as `models.graph.observe.observe` makes it.
        layers: with their placements in the graph.
    """

    graph: SerializedGraph
    layers: tuple[NormLayer, ...] = ()

    def load(self, *, optimize: bool) -> Run:
        """The graph as a function that returns its outputs and, of every watched layer, means and mean squares.

        These are of the layer's own output over positions, of shape (rows, 2, C).

        Raises:
            GraphError: onnxruntime cannot load the graph.
        """
        run = load(self.graph, optimize=optimize)
        layers = [_in_its_own_units(layer) for layer in self.layers]

        def tensors(rows: Arrays) -> Arrays:
            outputs = run(rows)
            moments = ObservationReader(layers, outputs).read(outputs)
            return {name: values for name, values in outputs.items() if not is_observation(name)} | {
                f"{_MOMENTS}{name}": np.stack([found.mean, found.mean_square], axis=1)
                for name, found in moments.items()
            }

        return tensors


def check(
    source: WatchedGraph,
    folded: SerializedGraph,
    observed: WatchedGraph,
    inputs: Sequence[TensorSpec],
    oracle: Run | None = None,
    real: Arrays | None = None,
    *,
    seed: int = 0,
    tolerance: float | None = None,
    has_batch_axis: bool = True,
    positive: bool = False,
    progress: Progress = silent,
) -> Parity:
    """Compare the graphs of a version with the oracle or the source graph, and each with itself beside other rows.

    Args:
        source: the source graph.
        folded: the serialized folded graph, with the same inputs and outputs.
        observed: the observed graph.
        inputs: of all graphs.
        oracle: the network itself, in float64; the source graph when absent.
        real: real rows to compare on besides random ones; the first 32 are used.
        seed: of the random rows.
        tolerance: bound on the largest difference, relative to the largest value of the tensor. By default each tensor
            has its own, derived from its rounding in the source graph.
        has_batch_axis: whether the inputs are made of rows, none of which may depend on another.
        positive: whether the graphs take random inputs from 0 to 1 alone.
        progress: of the comparison.

    Returns:
        The largest difference of each pair.

    Raises:
        ParityError: a pair differs by more, or has a value that is not finite; the message names it.
        GraphError: onnxruntime cannot load or run a graph.
    """
    progress(_STEP, 0.0)
    draw = partial(random_rows, inputs, positive=positive)
    samples = _Samples.draw(draw, real, seed, has_batch_axis=has_batch_axis)
    run = source.load(optimize=False)
    computed = [run(batch) for batch in samples.batches]
    unit = rounding.narrowest_unit(split_model(source.graph)[0])
    moved = [run(rounding.round_differently(batch, seed, unit)) for batch in samples.batches]
    changes = rounding.measure(zip(computed, moved, strict=True))
    tolerances = {name: tolerance or rounding.tolerance(change) for name, change in changes.items()}

    name = "source, unoptimized"
    outputs = [_without_moments(tensors) for tensors in computed]
    reference, expected = (name, outputs) if oracle is None else (ORACLE, list(map(oracle, samples.batches)))
    comparisons = [*samples.compare_beside_other_rows(name, run, computed, tolerances)]
    if oracle is not None:
        comparisons.insert(0, compare(reference, name, zip(expected, outputs, strict=True), tolerances))
    del run  # a session has a copy of the weights
    if not tolerance:
        tolerances |= _moment_tolerances(source, samples.batches, computed, tolerances)

    progress(_STEP, 0.4)
    for candidate, optimize in (("folded, unoptimized", False), ("folded, optimized", True)):
        comparisons += samples.compare(reference, expected, candidate, load(folded, optimize=optimize), tolerances)
    progress(_STEP, 0.8)
    comparisons += _compare_observed(samples, name, computed, observed, tolerances, may_sum_roughly=not tolerance)

    return Parity(
        rows=sum(map(count_rows, samples.batches)) if has_batch_axis else len(samples.batches),
        seed=seed,
        rounding=None if tolerance else max(_without_moments(changes).values()),
        tolerance=max(tolerances[output] for output in outputs[0]),
        comparisons=tuple(comparisons),
    )


@dataclass(frozen=True)
class _Samples:
    """The rows to compare on.

    Attributes:
        batches: of several sizes, the last one of real rows where there are some.
        mixed: the batch of number `mixed_batch` with other values in every second row; None without a batch axis.
    """

    batches: tuple[Arrays, ...]
    mixed: Arrays | None
    mixed_batch: int = 0

    @classmethod
    def draw(
        cls, draw: Callable[[int, int], Arrays], real: Arrays | None, seed: int, *, has_batch_axis: bool
    ) -> "_Samples":
        drawn = [draw(size, seed + size) for size in _BATCHES]
        values = [sum(array.size for array in batch.values()) for batch in drawn]
        batches = [batch for batch, size in zip(drawn, values, strict=True) if size <= max(values[1], _MOST_VALUES)]
        if not has_batch_axis:
            return cls(tuple(batches), None)
        largest = len(batches) - 1
        mixed = mix_rows(batches[largest], draw(count_rows(batches[largest]), seed))
        if real is not None:
            batches.append({name: values[:_REAL_ROWS] for name, values in real.items()})
        return cls(tuple(batches), mixed, largest)

    def compare(
        self, reference: str, expected: Iterable[Arrays], candidate: str, run: Run, tolerances: Mapping[str, float]
    ) -> list[ParityComparison]:
        """Of a graph with what is expected of each batch, and with itself beside other rows."""
        computed = list(map(run, self.batches))
        return [
            compare(reference, candidate, zip(expected, computed, strict=True), tolerances),
            *self.compare_beside_other_rows(candidate, run, computed, tolerances),
        ]

    def compare_beside_other_rows(
        self, name: str, run: Run, computed: Sequence[Arrays], tolerances: Mapping[str, float]
    ) -> list[ParityComparison]:
        """Of a graph with itself, where `computed` is what it computes of each batch."""
        if self.mixed is None:
            return []
        # Not the moments: a layer over tokens has a row for each token.
        whole = computed[self.mixed_batch]
        before, after = (kept_rows(_without_moments(tensors)) for tensors in (whole, run(self.mixed)))
        return [compare(name, f"{name}, beside other rows", [(before, after)], tolerances)]


def _moment_tolerances(
    source: WatchedGraph, batches: Sequence[Arrays], computed: Sequence[Arrays], tolerances: Mapping[str, float]
) -> dict[str, float]:
    """Bounds on the moments, as far as the source graph keeps them when onnxruntime folds its layers.

    A folded layer subtracts a rounded mean from rounded products. In the first layers that moves moments further than
    other values of the inputs do.

    Args:
        source: the source graph.
        batches: rows.
        computed: what it computes of them unoptimized.
        tolerances: that follow from its inputs.
    """
    if not source.layers:
        return {}
    run = source.load(optimize=True)
    pairs = (
        ({name: values for name, values in tensors.items() if name.startswith(_MOMENTS)}, run(batch))
        for tensors, batch in zip(computed, batches, strict=True)
    )
    folded = rounding.measure(pairs)
    return {name: rounding.moment_tolerance(tolerances[name], change) for name, change in folded.items()}


def _compare_observed(
    samples: _Samples,
    reference: str,
    computed: Sequence[Arrays],
    observed: WatchedGraph,
    tolerances: Mapping[str, float],
    *,
    may_sum_roughly: bool,
) -> list[ParityComparison]:
    """Of the observed graph with what the source graph computes.

    onnxruntime sums the positions of a convolution's output one after the other where it is optimised. Of a channel
    with almost the same value everywhere each addition rounds the same way, which is no fault of the graph: where it
    agrees without optimisation, the moments of the optimised one may differ by `rounding.LARGEST_OF_SUMS`.
    """
    candidate, run = "observed, optimized", observed.load(optimize=True)
    try:
        return samples.compare(reference, computed, candidate, run, tolerances)
    except ParityError:
        if not may_sum_roughly:
            raise
    samples.compare(reference, computed, "observed, unoptimized", observed.load(optimize=False), tolerances)
    wider = {
        name: max(bound, rounding.LARGEST_OF_SUMS) if name.startswith(_MOMENTS) else bound
        for name, bound in tolerances.items()
    }
    return samples.compare(reference, computed, candidate, run, wider)


def _without_moments(tensors: Mapping[str, _T]) -> dict[str, _T]:
    return {name: value for name, value in tensors.items() if not name.startswith(_MOMENTS)}


def _in_its_own_units(layer: NormLayer) -> NormLayer:
    """The layer with a gamma of 1 and a beta of 0, so that its z units are those of its output.

    z units proper magnify the rounding of beta in a channel without spread.
    """
    size = layer.num_features
    return layer.model_copy(update={"gamma": (1.0,) * size, "beta": (0.0,) * size})
