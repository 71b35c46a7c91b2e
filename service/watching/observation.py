"""What one observation adds to the windows of a version."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from models.errors import InvalidInput
from models.moments import codec
from models.moments.window import WindowMoments
from service.wire import arrays


@dataclass(frozen=True)
class Observation:
    """Moments of the rows of one observed batch, or of several merged batches.

    Attributes:
        model, version: the observed version.
        layers: moments by layer name.
        classes: rows by predicted class, shape (K,), int64; empty for a model that does not classify.
        batches: observed batches.
        skipped: batches that were not observed since the previous observation.
        seconds: processor time spent.
    """

    model: str
    version: int
    layers: Mapping[str, WindowMoments]
    classes: NDArray[np.int64]
    batches: int = 1
    skipped: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """The number of rows."""
        return max((moments.count for moments in self.layers.values()), default=0)

    def to_bytes(self) -> bytes:
        """Returns what `from_bytes` reads in another process."""
        layout, moments = codec.encode([self.layers])
        header = {
            "model": self.model,
            "version": self.version,
            "moments": layout,
            "batches": self.batches,
            "skipped": self.skipped,
            "seconds": self.seconds,
        }
        return arrays.write(header, {"classes": self.classes, "moments": moments})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Observation":
        """Returns the observation of another process, from its `to_bytes`.

        Raises:
            InvalidInput: the data are damaged.
        """
        try:
            header, found = arrays.read(BytesIO(data))
            (layers,) = codec.decode(header["moments"], found["moments"])
            spent = header["batches"], header["skipped"], header["seconds"]
            return cls(header["model"], header["version"], layers, found["classes"], *spent)
        except (ValueError, TypeError, LookupError, EOFError) as error:
            raise InvalidInput("observation of another process: damaged data", "observation") from error
