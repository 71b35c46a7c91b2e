"""What running a graph on random inputs shows of it: whether it runs, the shapes it returns, and its batch axis.

No graph states that the first axis of its tensors is the batch. It is where every tensor has a first axis of free size,
the graph runs on any number of rows and returns as many, and no row changes when the others do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from models.datatypes import Array, Arrays, Run
from models.errors import GraphError, ParityError
from models.graph.nodes import is_standard, nested
from models.graph.weights import split_model
from models.manifest import TensorSpec
from models.parity.comparison import Difference, compare
from models.parity.rows import is_finite, kept_rows, mix_rows, needs_positive
from models.rows import random_rows
from models.runtime.load import load
from models.sequences import find_unstackable
from models.stored_graph import SerializedGraph
from models.validation import first_line

_ROWS = (1, 2, 3)
_TOLERANCE = 1e-4
"""Of rows beside other rows: rounding stays far below, and a row that depends on others is off by far more."""

_RANDOM = (
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
    "Dropout",
)
"""Operators that draw at random, Dropout in training."""


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        outputs: of the graph, with -1 for every axis whose size was found to be another than stated.
        batch_problem: why the first axis is not the batch; None if it is.
        run_problem: why what the graph computes of random inputs cannot be compared; None if it can.
        positive: whether it takes random inputs from 0 to 1 alone.
    """

    outputs: tuple[TensorSpec, ...]
    batch_problem: str | None
    run_problem: str | None
    positive: bool


def probe(graph: SerializedGraph, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Probe:
    """Run a graph on random inputs.

    Args:
        graph: a serialized ONNX graph.
        inputs, outputs: of the graph, as `models.runtime.specs.specs` returns them.

    Raises:
        GraphError: onnxruntime cannot load the graph, or an output is a sequence of tensors of different shapes.
    """
    run = load(graph, optimize=False)
    found: list[Arrays] = []
    run_problem, draw = None, partial(random_rows, inputs)
    try:
        found.extend(run(draw(rows, seed=rows)) for rows in _ROWS)
        if not all(map(is_finite, found)) and needs_positive(run, inputs):
            draw = partial(draw, positive=True)
            found = [run(draw(rows, seed=rows)) for rows in _ROWS]
        run_problem = _value_problem(graph, found[0], run(draw(_ROWS[0], seed=_ROWS[0])))
    except GraphError as error:
        output = find_unstackable(str(error))
        if output is not None:
            raise GraphError(
                f"output '{output}' is a sequence of tensors of different shapes, which no tensor can hold: give each "
                "an output of its own, or pad them to one shape"
            ) from error
        run_problem = f"it cannot be run on random inputs ({first_line(error)})"
    measured = tuple(_measured(spec, [result[spec.name] for result in found]) for spec in outputs)
    batch_problem = _batch_problem(run, inputs, measured, found, run_problem, draw)
    return Probe(measured, batch_problem, run_problem, positive="positive" in draw.keywords)


def _value_problem(graph: SerializedGraph, found: Arrays, again: Arrays) -> str | None:
    """Why what a graph computes of the same rows, twice, cannot be compared with what another one does."""
    if not is_finite(found):
        return "its outputs for random inputs are not finite"
    if all(Difference.between(values, again[name]).relative <= _TOLERANCE for name, values in found.items()):
        return None
    nodes = (inner for node in split_model(graph)[0].graph.node for inner in (node, *nested(node)))
    names = ", ".join(sorted({node.op_type for node in nodes if is_standard(node, *_RANDOM)}))
    return f"its outputs for the same inputs differ from run to run{names and f' ({names})'}"


def _batch_problem(
    run: Run,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    found: Sequence[Arrays],
    run_problem: str | None,
    draw: Callable[..., Arrays],
) -> str | None:
    for spec in (*inputs, *outputs):
        if not spec.has_free_first_axis:
            return f"the first axis of '{spec.name}' of shape {list(spec.shape)} is not of free size"
    if run_problem is not None:
        return f"{run_problem}, so it is not known whether rows depend on each other"
    for rows, result in zip(_ROWS, found, strict=True):
        for name, values in result.items():
            if len(values) != rows:
                return f"'{name}' has {len(values)} rows for {rows} rows of the inputs"
    most = _ROWS[-1]
    whole, other = draw(most, seed=most), draw(most, seed=0)
    try:
        after = run(mix_rows(whole, other))
        pair = kept_rows(found[-1]), kept_rows(after)
        compare("rows", "rows beside others", [pair], dict.fromkeys(pair[0], _TOLERANCE))
    except (GraphError, ParityError) as error:
        return f"a row's outputs depend on the other rows ({first_line(error)})"
    return None


def _measured(spec: TensorSpec, results: Sequence[Array]) -> TensorSpec:
    shape = spec.shape
    for values in results:
        if values.ndim != len(shape):  # onnxruntime states an unknown rank as none
            shape = (-1,) * values.ndim
        shape = tuple(stated if stated == size else -1 for stated, size in zip(shape, values.shape, strict=True))
    return spec.model_copy(update={"shape": shape})
