"""Do the graphs compute what the network computes? Measured before anything is published, and recorded.

Every graph runs in the runtime twice, with its own graph optimisations and without, since `predict` runs with them and
they are the part that is least ours. The reference is the network itself in float64 where there is one, else the
unoptimised source graph. Batches of 1, 3 and 17 rows exercise the free batch axis.

A difference counts relative to the largest value of the same output: an output near zero among large ones carries their
rounding error. The tolerance of 1e-5 is about 80 units in the last place of float32; networks of this size differ by 1
to 10 of them, while a forgotten bias or a wrong epsilon differs by far more.

At last the rows must not know of each other: while every second row is replaced, the others' answers must stay.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.datatypes import FLOATING, to_numpy
from models.errors import ParityError
from models.manifest import Parity, ParityComparison, TensorSpec

Arrays = dict[str, NDArray[np.generic]]
"""Tensors by name, each of shape (N, ...)."""

Run = Callable[[Arrays], Arrays]
"""Inputs -> outputs."""


class Load(Protocol):
    """How a room that has a runtime runs graphs."""

    def __call__(self, graph: bytes, *, optimize: bool) -> Run:
        """A serialized graph as a function, with the runtime's own graph optimizations or without.

        Raises:
            GraphError: the runtime cannot load the graph; or, when the function is called, cannot run it.
        """


TOLERANCE = 1e-5
OBSERVED_TOLERANCE = 1e-6
"""Two graphs of the same weights in the same order differ by the runtime's fusions alone."""

_BATCHES = (1, 3, 17)
_REAL_ROWS = 32
_FREE_SIZE = 64  # of axes other than the batch axis, when the graph leaves them free


def check(
    source: bytes,
    folded: bytes,
    inputs: Sequence[TensorSpec],
    load: Load,
    oracle: Run | None = None,
    real: Arrays | None = None,
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare the graphs with the oracle, and with themselves beside other rows.

    Args:
        source: a serialized ONNX graph.
        folded: another, with the same inputs and outputs.
        inputs: of both.
        load: runs them.
        oracle: the network itself, in float64; the unoptimised source graph when absent.
        real: real rows to compare on besides random ones; the first 32 are used.
        seed: of the random rows: standard normal, or 0 and 1 for whole numbers.
        tolerance: bound on the largest difference, relative to the largest value of the output.

    Returns:
        The largest difference of each pair.

    Raises:
        ParityError: a pair differs by more, or has a value that is not finite; the message names it.
        GraphError: the runtime cannot load or run a graph.
    """
    runs = {
        f"{name}, {how}": load(graph, optimize=optimize)
        for name, graph in (("source", source), ("folded", folded))
        for how, optimize in (("unoptimized", False), ("optimized", True))
    }
    batches = [random_rows(inputs, size, seed + size) for size in _BATCHES]
    if real is not None:
        batches.append({name: values[:_REAL_ROWS] for name, values in real.items()})

    if oracle is None:
        reference, run_reference = next(iter(runs.items()))
    else:
        reference, run_reference = "torch, float64", oracle
    expected = [run_reference(batch) for batch in batches]
    comparisons = [
        _compare(reference, name, zip(expected, map(run, batches), strict=True), tolerance)
        for name, run in runs.items()
        if name != reference
    ]

    whole = batches[len(_BATCHES) - 1]
    other = random_rows(inputs, max(_BATCHES), seed)
    mixed = {name: _every_second(values, other[name]) for name, values in whole.items()}
    for name, run in runs.items():
        before, after = ({key: values[::2] for key, values in run(rows).items()} for rows in (whole, mixed))
        comparisons.append(_compare(name, f"{name}, beside other rows", [(before, after)], tolerance))

    rows = sum(len(next(iter(batch.values()))) for batch in batches)
    return Parity(rows=rows, seed=seed, tolerance=tolerance, comparisons=tuple(comparisons))


def check_observed(
    folded: bytes, observed: bytes, inputs: Sequence[TensorSpec], load: Load, seed: int = 0
) -> ParityComparison:
    """Compare the predictions of the observed graph with those of the folded one, as they are served.

    Raises:
        ParityError: they differ by more than 1e-6 of the largest value.
        GraphError: the runtime cannot load or run a graph.
    """
    batches = [random_rows(inputs, size, seed + size) for size in _BATCHES]
    run, run_observed = load(folded, optimize=True), load(observed, optimize=True)
    expected = map(run, batches)
    pairs = zip(expected, map(run_observed, batches), strict=True)
    return _compare("folded, optimized", "observed, optimized", pairs, OBSERVED_TOLERANCE)


def random_rows(inputs: Sequence[TensorSpec], count: int, seed: int) -> Arrays:
    """Rows for every input: standard normal, or 0 and 1 where the type has no fractions; as digits where it is text."""
    generator = np.random.default_rng(seed)
    rows: Arrays = {}
    for spec in inputs:
        shape = (count, *(size if size > 0 else _FREE_SIZE for size in spec.shape[1:]))
        fractional = spec.datatype in FLOATING
        values = generator.standard_normal(shape) if fractional else generator.integers(0, 2, shape)
        written = values.astype(str) if spec.datatype == "BYTES" else values
        rows[spec.name] = written.astype(to_numpy(spec.datatype))
    return rows


def _every_second(values: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.generic]:
    mixed = values.copy()
    mixed[1::2] = other[1::2]
    return mixed


def _compare(
    reference: str, candidate: str, pairs: Iterable[tuple[Arrays, Arrays]], tolerance: float
) -> ParityComparison:
    """The largest difference over pairs of (expected, actual) outputs."""
    max_absolute = max_relative = 0.0
    for expected, actual in pairs:
        for name, values in expected.items():
            if actual[name].shape != values.shape:
                raise ParityError(
                    f"{candidate}: '{name}' has shape {actual[name].shape} where {reference} has {values.shape}"
                )
            if values.dtype == object:  # text is right or wrong
                difference, scale = float((actual[name] != values).any()), 1.0
            else:
                with np.errstate(invalid="ignore"):  # infinity less infinity: refused below
                    difference, scale = _largest(_exact(actual[name]) - _exact(values)), _largest(_exact(values))
            relative = difference / scale if scale > 0 else difference
            # Stated so that a NaN, which is in no order with anything, fails.
            if not relative <= tolerance:
                raise ParityError(
                    f"{candidate} differs from {reference}: '{name}' by {difference:.3g}, "
                    f"which is {relative:.3g} of its largest value ({tolerance:g} is allowed)"
                )
            max_absolute, max_relative = max(max_absolute, difference), max(max_relative, relative)
    return ParityComparison(
        reference=reference, candidate=candidate, max_absolute=max_absolute, max_relative=max_relative
    )


def _exact(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return values.astype(np.float64)


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.abs(values).max(initial=0.0))
