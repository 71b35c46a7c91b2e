"""Which layers of a graph can be observed: the statistics of a row must be the same, whatever the other rows are."""

from collections.abc import Sequence
from functools import partial

from models.datatypes import Arrays
from models.errors import GraphError, ParityError
from models.graph.observe import observe
from models.graph.weights import change
from models.manifest import TensorSpec, WatchedLayer
from models.observation import is_observation
from models.parity.comparison import compare
from models.parity.rows import kept_rows, mix_rows
from models.rows import random_rows
from models.runtime.load import load
from models.stored_graph import SerializedGraph
from models.validation import first_line

_ROWS = 3
_TOLERANCE = 1e-3


def mark_watched(
    folded: SerializedGraph, layers: Sequence[WatchedLayer], inputs: Sequence[TensorSpec], *, positive: bool = False
) -> tuple[WatchedLayer, ...]:
    """The layers as they can be observed, with one entry or several for each row; those that cannot say why.

    Args:
        folded: a serialized graph whose first axis is the batch, and which runs on random inputs.
        layers: with their placements in it.
        inputs: of the graph.
        positive: whether it takes random inputs from 0 to 1 alone.
    """
    draw = partial(random_rows, inputs, _ROWS, positive=positive)
    rows, other = draw(seed=0), draw(seed=1)
    if not layers or _problem(folded, layers, rows, other) is None:
        return tuple(layers)
    return tuple(_mark(folded, layer, rows, other) for layer in layers)


def _mark(folded: SerializedGraph, layer: WatchedLayer, rows: Arrays, other: Arrays) -> WatchedLayer:
    problem = _problem(folded, [layer], rows, other)
    if problem is None:
        return layer
    joined = layer.model_copy(update={"several_per_row": True})
    other_problem = _problem(folded, [joined], rows, other)
    if other_problem is None:
        return joined
    if other_problem != problem:
        problem = f"{problem}; with all entries of a row together: {other_problem}"
    return layer.model_copy(update={"unwatched": problem})


def _problem(folded: SerializedGraph, layers: Sequence[WatchedLayer], rows: Arrays, other: Arrays) -> str | None:
    mixed = mix_rows(rows, other)
    try:
        run = load(change(folded, partial(observe, layers=layers)), optimize=False)
        before, after = (
            {name: values for name, values in run(batch).items() if is_observation(name)} for batch in (rows, mixed)
        )
        for name, values in before.items():
            if len(values) != _ROWS:
                return f"it has {len(values)} statistics ('{name}') for {_ROWS} rows"
        pair = kept_rows(before), kept_rows(after)
        compare("rows", "rows beside others", [pair], dict.fromkeys(before, _TOLERANCE))
    except ParityError as error:
        return f"its statistics of a row depend on the other rows ({error})"
    except GraphError as error:
        return first_line(error)
    return None
