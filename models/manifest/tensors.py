"""Inputs and outputs."""

from collections.abc import Sequence

from pydantic import Field

from models.datatypes import Datatype
from models.manifest.record import Record


class TensorSpec(Record):
    """An input or output of the model."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = Field(
        description="-1 for a free size; none for a scalar. The first axis is the batch, if the model has one"
    )
    batch_axes: tuple[int, ...] | None = Field(
        default=None,
        description="of an input, axes after the first that are as long as the first axis of an input, since the graph "
        "gives both the same name, such as the second one of a recurrent state; absent where there are none",
    )

    @property
    def has_free_first_axis(self) -> bool:
        """Whether the first axis can be the batch: it exists, and takes any size."""
        return self.shape[:1] == (-1,)

    def accepts_shape(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape is one of the specification."""
        return len(shape) == len(self.shape) and all(
            size in (-1, given) for size, given in zip(self.shape, shape, strict=True)
        )

    @property
    def num_classes(self) -> int | None:
        """Number of class scores in each row; None for text, for a single score, and for any rank but 2."""
        if self.datatype == "BYTES" or len(self.shape) != 2 or self.shape[1] < 2:
            return None
        return self.shape[1]
