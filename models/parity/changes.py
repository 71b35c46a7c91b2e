"""What changes in the answers of a model when it is computed less precisely."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.classification import predicted_classes
from models.datatypes import Arrays, Run
from models.errors import ParityError
from models.manifest import Manifest
from models.parity.comparison import Difference
from models.rows import count_rows, random_rows

MAX_RELATIVE = 1e-2
"""Largest difference of an output, relative to its largest value: 20 times what rounding to half precision changes,
2^-11."""

_MAX_ROWS = 1024
_BATCH_ROWS = 64
_RANDOM_BATCHES = 4


@dataclass(frozen=True)
class AnswerChanges:
    """What differs between the answers of two graphs, or of two engines, to the same rows.

    Attributes:
        rows: that they were run on.
        moved: rows whose class differs; None without classes.
        outputs: of each output, the largest difference in the rows of a run. Not a number where one is not.
    """

    rows: int
    moved: int | None
    outputs: dict[str, Difference]

    @classmethod
    def between(cls, before: Run, after: Run, manifest: Manifest, rows: Arrays | None) -> Self:
        """Run both.

        Args:
            before, after: with the inputs and outputs of the manifest.
            manifest: of the version.
            rows: that the network was not trained on, for every input, shape (n, ...). The first 1,024 are compared;
                256 random ones where there are none, and 4 random inputs of a model without a batch axis.
        """
        count = moved = 0
        outputs = {spec.name: Difference(0.0, 0.0) for spec in manifest.outputs}
        for batch in _batches(manifest, rows):
            expected, actual = before(batch), after(batch)
            for name, largest in outputs.items():
                outputs[name] = _larger(largest, Difference.between(expected[name], actual[name]))
            count += count_rows(batch) if manifest.is_batchable else 1
            if manifest.num_classes is not None:
                classes = (predicted_classes(found[manifest.outputs[0].name]) for found in (expected, actual))
                moved += int(np.count_nonzero(np.not_equal(*classes)))
        return cls(count, None if manifest.num_classes is None else moved, outputs)

    @property
    def agreement(self) -> float | None:
        """Share of the rows whose class stays; None without classes."""
        return None if self.moved is None else 1 - self.moved / self.rows

    @property
    def largest(self) -> Difference:
        """Of all outputs."""
        found = Difference(0.0, 0.0)
        for difference in self.outputs.values():
            found = _larger(found, difference)
        return found

    def validate(self, min_agreement: float) -> None:
        """Check that the answers stay.

        Args:
            min_agreement: least share of rows whose class stays. One row may change in any case: of few rows, one that
                is between two classes would decide otherwise.

        Raises:
            ParityError: more classes change, or an output changes by more than `MAX_RELATIVE`.
        """
        problems = []
        allowed = max(int((1 - min_agreement) * self.rows), 1)
        if self.moved is not None and self.moved > allowed:
            problems.append(f"the class of {self.moved} of {self.rows} rows (at most {allowed} may change)")
        problems += [
            f"'{name}' by {found.absolute:.3g}, which is {found.relative:.3g} of its largest value "
            f"({MAX_RELATIVE:g} is allowed)"
            for name, found in self.outputs.items()
            if not found.relative <= MAX_RELATIVE  # true of a NaN
        ]
        if problems:
            raise ParityError("; ".join(problems))


def _larger(one: Difference, other: Difference) -> Difference:
    return Difference(float(np.maximum(one.absolute, other.absolute)), float(np.maximum(one.relative, other.relative)))


def _batches(manifest: Manifest, rows: Arrays | None) -> Iterator[Arrays]:
    if rows is None or not manifest.is_batchable:
        size = _BATCH_ROWS if manifest.is_batchable else 1
        yield from (random_rows(manifest.inputs, size, seed) for seed in range(_RANDOM_BATCHES))
        return
    for start in range(0, min(count_rows(rows), _MAX_ROWS), _BATCH_ROWS):
        yield {name: values[start : min(start + _BATCH_ROWS, _MAX_ROWS)] for name, values in rows.items()}
