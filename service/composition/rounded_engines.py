"""Engines that compute with less than float32, where the answers of their version stay."""

from collections.abc import Callable, Sequence

from models.parity.changes import AnswerChanges
from models.repository import held_out
from models.repository.bundle import ServedBundle
from models.runtime.engine import Engine
from models.runtime.providers import Precision
from models.runtime.run_sizes import in_all_sizes
from service.catalog.half_precision import to_half

MIN_AGREEMENT = 0.99
"""Of the classes, where a GPU computes with less than float32: rounding moves rows that are between two of them."""


def open_rounded(
    bundle: ServedBundle, precision: Precision, open_graph: Callable[..., Engine], sizes: Sequence[int]
) -> Engine:
    """The engine of a bundle in less than float32, if it gives the answers of the one in float32, in runs of all sizes.

    Raises:
        ParityError: it gives others.
        DengeError: the graph cannot be converted, or cannot be run on the rows for the comparison.
    """
    rounded = open_graph(to_half(bundle.folded) if precision == "float16" else bundle.folded, precision)
    exact = open_graph(bundle.folded, "float32", ())
    rows = None if bundle.held_out is None else held_out.unpack(bundle.held_out, bundle.manifest.inputs)
    changes = AnswerChanges.between(exact.run, in_all_sizes(rounded.run, sizes), bundle.manifest, rows)
    exact.release()
    changes.validate(MIN_AGREEMENT)
    return rounded
