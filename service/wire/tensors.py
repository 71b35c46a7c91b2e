"""Whether tensors are what the inputs of a model take."""

from collections.abc import Mapping, Sequence
from math import prod

from models.datatypes import Array
from models.errors import InvalidInput
from models.manifest import TensorSpec

MAX_EMPTY_SIZES = 1 << 24
"""Product of the sizes that a client chooses for a tensor without elements, but for 0. They come with no bytes, and a
model may compute as many values: a position for each column, for example. As many float32 fill the largest body."""


def validate_tensor(shape: Sequence[int], datatype: str, spec: TensorSpec, field: str) -> None:
    """Check that an input takes tensors of this shape and datatype.

    Raises:
        InvalidInput: it does not.
    """
    if datatype != spec.datatype:
        raise InvalidInput(f"got {datatype}, input '{spec.name}' expects {spec.datatype}", f"{field}.datatype")
    if not spec.accepts_shape(shape):
        raise InvalidInput(
            f"got {list(shape)}, input '{spec.name}' expects {list(spec.shape)} (-1 is any size)", f"{field}.shape"
        )
    if 0 in shape:
        chosen = prod(size for size, expected in zip(shape, spec.shape, strict=True) if expected == -1 and size)
        if chosen > MAX_EMPTY_SIZES:
            raise InvalidInput(
                f"got {list(shape)}, a tensor without elements, whose other sizes may multiply to {MAX_EMPTY_SIZES}",
                f"{field}.shape",
            )


def validate_row_counts(arrays: Mapping[str, Array], specs: Sequence[TensorSpec]) -> None:
    """Check that all inputs of a model with a batch axis have the same number of rows.

    Raises:
        InvalidInput: they have not.
    """
    rows = {spec.name: arrays[spec.name].shape[0] for spec in specs}
    if len(set(rows.values())) > 1:
        raise InvalidInput(f"got rows {rows}, expected the same number for every input", "inputs")
