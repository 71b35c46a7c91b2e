"""Held-out rows: rows that a network was not trained on, kept in its bundle to compare its successors with it.

The file is one of `numpy.savez_compressed` with a plain array for each input of the model, of shape (rows, ...) each.
"""

import io
import zipfile
from collections.abc import Sequence

import numpy as np

from models.datatypes import Arrays
from models.errors import ForeignBundle
from models.manifest import TensorSpec
from models.rows import count_rows

MAX_KEPT_ROWS = 256
"""Enough to know to 3 points or better on what share of rows two versions agree."""

MAX_KEPT_BYTES = 16 << 20
"""Of all arrays together, before compression."""


def keep(rows: Arrays) -> bytes | None:
    """The file of as many rows as may be kept; None where there are none, and for text, which is not kept."""
    return pack(choose(rows))


def choose(rows: Arrays, seed: int = 0) -> Arrays:
    """At most `MAX_KEPT_ROWS` rows and `MAX_KEPT_BYTES` bytes, drawn at random, in their order."""
    count = count_rows(rows)
    row_bytes = sum(values[:1].nbytes for values in rows.values())
    kept = min(count, MAX_KEPT_ROWS, MAX_KEPT_BYTES // max(row_bytes, 1))
    chosen = np.sort(np.random.default_rng(seed).choice(count, kept, replace=False))
    return {name: values[chosen] for name, values in rows.items()}


def pack(rows: Arrays) -> bytes | None:
    """The file of these rows, equal for equal rows; None where there are none, and for text."""
    if not count_rows(rows) or any(values.dtype.hasobject for values in rows.values()):
        return None
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **rows)
    return file.getvalue()


def unpack(data: bytes, inputs: Sequence[TensorSpec]) -> Arrays:
    """The rows of a file that `pack` wrote.

    Args:
        data: the bytes, checked against their digest.
        inputs: of the model.

    Raises:
        ForeignBundle: it holds anything else, or more than may be kept.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # zipfile unpacks no more than the sizes that the archive states.
            if sum(entry.file_size for entry in archive.infolist()) > MAX_KEPT_BYTES + (1 << 16):
                raise ForeignBundle(f"the held-out rows take more than {MAX_KEPT_BYTES} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ForeignBundle(f"the held-out rows cannot be read: {error}") from error
    if rows.keys() != {spec.name for spec in inputs} or len({len(values) for values in rows.values()}) != 1:
        raise ForeignBundle("the held-out rows are not those of the model's inputs")
    return rows
