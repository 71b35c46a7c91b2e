"""What changes when a model is computed less precisely. numpy's rounding to half precision is the oracle."""

from dataclasses import replace

import numpy as np
import pytest

from models.datatypes import Arrays
from models.errors import ParityError
from models.parity.changes import AnswerChanges
from models.runtime.load import load
from tests.bundles import tiny_bundle

BUNDLE = tiny_bundle()


def exact(rows: Arrays) -> Arrays:
    return load(BUNDLE.folded, optimize=True)(rows)


def rounded(rows: Arrays) -> Arrays:
    with np.errstate(over="ignore"):
        return {name: values.astype(np.float16).astype(np.float32) for name, values in exact(rows).items()}


def test_rounding_changes_as_much_as_it_may() -> None:
    changes = AnswerChanges.between(exact, rounded, BUNDLE.manifest, None)

    assert changes.rows == 256
    assert 0 < changes.largest.relative <= 2**-11
    changes.validate(min_agreement=0.99)


def test_values_that_half_precision_does_not_hold_are_found() -> None:
    huge = {"input": np.full((8, 4), 1e6, np.float32)}  # half precision ends at 65,504

    with pytest.raises(ParityError, match="of its largest value"):
        AnswerChanges.between(exact, rounded, BUNDLE.manifest, huge).validate(min_agreement=0.0)
    AnswerChanges.between(exact, exact, BUNDLE.manifest, huge).validate(min_agreement=1.0)


def test_classes_that_change_are_counted() -> None:
    def swapped(rows: Arrays) -> Arrays:
        return {name: values[:, ::-1] for name, values in exact(rows).items()}

    changes = AnswerChanges.between(exact, swapped, BUNDLE.manifest, None)

    assert changes.moved == 256
    assert changes.agreement == 0
    with pytest.raises(ParityError, match=r"the class of 256 of 256 rows \(at most 2 may change\)"):
        changes.validate(min_agreement=0.99)


def test_one_row_between_two_classes_does_not_decide() -> None:
    changes = AnswerChanges(rows=256, moved=1, outputs={})

    changes.validate(min_agreement=0.999)
    with pytest.raises(ParityError, match="2 of 256"):
        replace(changes, moved=2).validate(min_agreement=0.999)
