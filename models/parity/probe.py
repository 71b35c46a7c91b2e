"""What running a graph on random inputs shows of it: whether it runs, the shapes it returns, and its batch axis.

No graph states that the first axis of its tensors is the batch. It is where every tensor has a first axis of free size,
the graph runs on any number of rows and returns as many, and no row changes when the others do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.datatypes import Array, Arrays, Run
from models.errors import GraphError, ParityError
from models.manifest import TensorSpec
from models.parity.comparison import compare
from models.parity.rows import kept_rows, mix_rows
from models.rows import random_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph
from models.validation import first_line

_ROWS = (1, 2, 3)
_TOLERANCE = 1e-4
"""Of rows beside other rows: rounding stays far below, and a row that depends on others is off by far more."""


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        outputs: of the graph, with -1 for every axis whose size was found to be another than stated.
        batch_problem: why the first axis is not the batch; None if it is.
        run_problem: why the graph cannot be run on random inputs; None if it can.
    """

    outputs: tuple[TensorSpec, ...]
    batch_problem: str | None
    run_problem: str | None


def probe(graph: SerializedGraph, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Probe:
    """Run a graph on random inputs.

    Args:
        graph: a serialized ONNX graph.
        inputs, outputs: of the graph, as `models.runtime.specs.specs` returns them.

    Raises:
        GraphError: onnxruntime cannot load the graph.
    """
    run = load(graph, optimize=False)
    found: list[Arrays] = []
    run_problem = None
    try:
        found.extend(run(random_rows(inputs, rows, seed=rows)) for rows in _ROWS)
    except GraphError as error:
        run_problem = f"it cannot be run on random inputs ({first_line(error)})"
    measured = tuple(_measured(spec, [result[spec.name] for result in found]) for spec in outputs)
    return Probe(measured, _batch_problem(run, inputs, measured, found, run_problem), run_problem)


def _batch_problem(
    run: Run,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    found: Sequence[Arrays],
    run_problem: str | None,
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
    whole, other = random_rows(inputs, most, seed=most), random_rows(inputs, most, seed=0)
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
