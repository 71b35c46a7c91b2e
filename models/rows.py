"""Rows for the inputs of a model: validated, counted, stacked, drawn at random."""

import random
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from models.datatypes import FLOATING, Array, Arrays, to_numpy
from models.errors import InvalidInput
from models.manifest import TensorSpec


def validate_rows(rows: Arrays, inputs: Sequence[TensorSpec], field: str) -> int:
    """Check that rows are valid for the inputs of a model, and return how many there are.

    Args:
        rows: for every input, shape (n, ...).
        inputs: of the model.
        field: what the rows were given as, for errors.

    Raises:
        InvalidInput: the model has no batch axis; an input is missing or not the model's, is of another type or shape,
            has a value that is not finite, or has another number of rows than the others.
    """
    if not all(spec.has_free_first_axis for spec in inputs):
        raise InvalidInput("the model has no batch axis: its inputs are not made of rows", field)
    if rows.keys() != {spec.name for spec in inputs}:
        raise InvalidInput(
            f"the model's inputs are {', '.join(spec.name for spec in inputs)}; got {', '.join(rows) or 'none'}", field
        )
    for spec in inputs:
        values = rows[spec.name]
        if not spec.accepts_shape(values.shape) or values.dtype != to_numpy(spec.datatype):
            raise InvalidInput(
                f"'{spec.name}' takes {spec.datatype} of shape {list(spec.shape)}, "
                f"got {values.dtype} of shape {list(values.shape)}",
                field,
            )
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise InvalidInput(f"'{spec.name}' has a value that is not finite", field)
    counts = {name: len(values) for name, values in rows.items()}
    if len(set(counts.values())) != 1:
        raise InvalidInput(f"the inputs have different numbers of rows: {counts}", field)
    return next(iter(counts.values()))


def count_rows(rows: Mapping[str, Array]) -> int:
    """Number of rows in inputs of shape (n, ...) each; 0 if there are none."""
    return len(next(iter(rows.values()), ()))


def stack_rows(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Single rows, by name, as inputs of shape (n, ...); there is at least one."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def random_rows(
    inputs: Sequence[TensorSpec], count: int, seed: int, *, free_size: int = 64, positive: bool = False
) -> Arrays:
    """Rows for every input: standard normal, or 0 and 1 where the type has no fractions, as digits where it is text.

    An input whose first axis is not of free size gets one tensor of its shape.

    Args:
        inputs: of a model.
        count: of rows.
        seed: of the generator.
        free_size: of axes other than the first and those that are as long, where the model leaves them free.
        positive: evenly distributed from 0 to 1, in place of standard normal.
    """
    generator = random.Random(seed)  # noqa: S311 - no secret follows from it
    rows: Arrays = {}
    for spec in inputs:
        free = [count if axis in (0, *(spec.batch_axes or ())) else free_size for axis in range(len(spec.shape))]
        shape = tuple(free[axis] if size < 0 else size for axis, size in enumerate(spec.shape))
        fractional = spec.datatype in FLOATING
        draw = _draw_bits if not fractional else _draw_positive if positive else _draw_normal
        values = draw(generator, prod(shape)).reshape(shape)
        written = values.astype(str) if spec.datatype == "BYTES" else values
        rows[spec.name] = written.astype(to_numpy(spec.datatype))
    return rows


def _draw_normal(generator: random.Random, count: int) -> Array:
    """Standard normal numbers, shape (count,), float64, by the method of Box and Muller.

    numpy's generators would take longer to import than a small model to load.
    """
    radius, turn = _draw_positive(generator, 2 * count).reshape(2, count)
    normal: Array = np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * turn)
    return normal


def _draw_positive(generator: random.Random, count: int) -> Array:
    """Numbers above 0, up to 1, shape (count,), float64."""
    drawn: Array = (np.frombuffer(generator.randbytes(4 * count), np.uint32) + 1.0) / 2.0**32
    return drawn


def _draw_bits(generator: random.Random, count: int) -> Array:
    """0 and 1, shape (count,), int64."""
    return np.frombuffer(generator.randbytes(count), np.uint8).astype(np.int64) & 1


def zeros(spec: TensorSpec, rows: int) -> Array:
    """Rows of zeros; 1 stands for every free size of a row. One value of a tensor without a batch axis."""
    shape = [1 if size < 0 else size for size in spec.shape]
    for axis in spec.batch_axes or ():
        shape[axis] = rows
    if spec.has_free_first_axis:
        shape[0] = rows
    return np.zeros(shape, dtype=to_numpy(spec.datatype))
