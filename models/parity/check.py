"""The comparisons that graphs must pass before they are published.

Every graph runs in onnxruntime twice, with its own graph optimisations and without, since `predict` runs with them and
they are the part that is least ours. The reference is the network itself in float64 where there is one, else the
unoptimised source graph. Batches of 1, 3 and 17 rows exercise the free batch axis.

Finally, no row may depend on another: while every second row is replaced, the outputs of the others must stay.
"""

from collections.abc import Sequence

from models.datatypes import Array, Arrays, Run
from models.manifest import Parity, ParityComparison, TensorSpec
from models.parity.comparison import OBSERVED_TOLERANCE, TOLERANCE, compare
from models.parity.rows import random_rows
from models.rows import count_rows
from models.runtime.load import load

_BATCHES = (1, 3, 17)
_REAL_ROWS = 32


def check_folded(
    source: bytes,
    folded: bytes,
    inputs: Sequence[TensorSpec],
    oracle: Run | None = None,
    real: Arrays | None = None,
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare the folded graph and its source with the oracle, and each with itself beside other rows.

    Args:
        source: a serialized ONNX graph.
        folded: another, with the same inputs and outputs.
        inputs: of both.
        oracle: the network itself, in float64; the unoptimised source graph when absent.
        real: real rows to compare on besides random ones; the first 32 are used.
        seed: of the random rows.
        tolerance: bound on the largest difference, relative to the largest value of the output.

    Returns:
        The largest difference of each pair.

    Raises:
        ParityError: a pair differs by more, or has a value that is not finite; the message names it.
        GraphError: onnxruntime cannot load or run a graph.
    """
    runs = {
        f"{name}, {how}": load(graph, optimize=optimize)
        for name, graph in (("source", source), ("folded", folded))
        for how, optimize in (("unoptimized", False), ("optimized", True))
    }
    batches = _random_batches(inputs, seed)
    if real is not None:
        batches.append({name: values[:_REAL_ROWS] for name, values in real.items()})

    if oracle is None:
        reference, run_reference = next(iter(runs.items()))
    else:
        reference, run_reference = "torch, float64", oracle
    expected = [run_reference(batch) for batch in batches]
    comparisons = [
        compare(reference, name, zip(expected, map(run, batches), strict=True), tolerance)
        for name, run in runs.items()
        if name != reference
    ]

    whole = batches[len(_BATCHES) - 1]
    other = random_rows(inputs, max(_BATCHES), seed)
    mixed = {name: _replace_every_second(values, other[name]) for name, values in whole.items()}
    for name, run in runs.items():
        before, after = ({key: values[::2] for key, values in run(rows).items()} for rows in (whole, mixed))
        comparisons.append(compare(name, f"{name}, beside other rows", [(before, after)], tolerance))

    rows = sum(map(count_rows, batches))
    return Parity(rows=rows, seed=seed, tolerance=tolerance, comparisons=tuple(comparisons))


def check_observed(folded: bytes, observed: bytes, inputs: Sequence[TensorSpec], seed: int = 0) -> ParityComparison:
    """Compare the predictions of the observed graph with those of the folded one, as they are served.

    Raises:
        ParityError: they differ by more than 1e-6 of the largest value.
        GraphError: onnxruntime cannot load or run a graph.
    """
    batches = _random_batches(inputs, seed)
    run, run_observed = load(folded, optimize=True), load(observed, optimize=True)
    pairs = zip(map(run, batches), map(run_observed, batches), strict=True)
    return compare("folded, optimized", "observed, optimized", pairs, OBSERVED_TOLERANCE)


def _random_batches(inputs: Sequence[TensorSpec], seed: int) -> list[Arrays]:
    return [random_rows(inputs, size, seed + size) for size in _BATCHES]


def _replace_every_second(values: Array, other: Array) -> Array:
    mixed = values.copy()
    mixed[1::2] = other[1::2]
    return mixed
