"""Rows that a re-calibration refuses: `models.recalibration.rows`."""

import numpy as np
import pytest

from models.datatypes import Arrays
from models.errors import InvalidInput
from models.manifest import Manifest
from models.recalibration.limits import MAX_ROWS_TO_ESTIMATE, MIN_ROWS_TO_ESTIMATE
from models.recalibration.rows import (
    MAX_ROWS_TO_LABEL,
    NO_CLASS,
    UNKNOWN,
    LabelledRows,
    choose_rows_to_label,
    validate_estimation_rows,
    validate_labelled_rows,
)
from tests.bundles import INPUT, tiny_bundle

MANIFEST = tiny_bundle().manifest


def rows(count: int) -> Arrays:
    return {INPUT: np.zeros((count, 4), np.float32)}


@pytest.mark.parametrize("count", [MIN_ROWS_TO_ESTIMATE, 64, MAX_ROWS_TO_ESTIMATE])
def test_rows_are_counted(count: int) -> None:
    assert validate_estimation_rows(rows(count), MANIFEST.inputs) == count


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "rows: the model's inputs are input"),
        (rows(1), "rows: got 1, expected 2 to 4096"),
        (rows(MAX_ROWS_TO_ESTIMATE + 1), "rows: got 4097, expected 2 to 4096"),
        ({INPUT: np.zeros((64, 5), np.float32)}, r"rows: 'input' takes FP32 of shape \[-1, 4\], got float32 .*64, 5"),
        ({INPUT: np.zeros((64, 4))}, "rows: 'input' takes FP32 .* got float64"),
        ({INPUT: np.full((64, 4), np.nan, np.float32)}, "rows: 'input' has a value that is not finite"),
    ],
    ids=["name", "one", "many", "shape", "type", "nan"],
)
def test_rows_that_are_not_the_models_are_refused(given: Arrays, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate_estimation_rows(given, MANIFEST.inputs)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(63, np.int64), r"labels: got int64 of shape \[63\], expected one integer for each of the 64 rows"),
        (np.zeros(64), r"labels: got float64 of shape \[64\], expected one integer for each of the 64 rows"),
        (np.full(64, 2), "labels: output 'logits' has the classes 0 to 1"),
        (np.full(64, UNKNOWN), "labels: output 'logits' has the classes 0 to 1; -2 is none of them"),
        (np.full(64, -3), "labels: output 'logits' has the classes 0 to 1"),
    ],
    ids=["few", "float", "large", "unknown", "negative"],
)
def test_labels_are_one_class_a_row(labels: np.ndarray, message: str) -> None:
    validate_labelled_rows(LabelledRows(rows(64), np.arange(64) % 2), MANIFEST)
    with pytest.raises(InvalidInput, match=message):
        validate_labelled_rows(LabelledRows(rows(64), labels), MANIFEST)


def test_rows_of_a_regressor_have_no_labels() -> None:
    (output,) = MANIFEST.outputs
    regressor: Manifest = MANIFEST.model_copy(update={"outputs": (output.model_copy(update={"shape": (-1, 1)}),)})

    with pytest.raises(InvalidInput, match="labels: output 'logits' has no class scores"):
        validate_labelled_rows(LabelledRows(rows(64), np.zeros(64, np.int64)), regressor)


def test_labelled_rows_are_rows_of_the_model() -> None:
    with pytest.raises(InvalidInput, match="rows: the model's inputs are input"):
        validate_labelled_rows(LabelledRows({}, np.zeros(1, np.int64)), MANIFEST)


def test_one_label_is_enough_and_may_be_none_of_the_classes() -> None:
    validate_labelled_rows(LabelledRows(rows(1), np.array([NO_CLASS])), MANIFEST)


def test_rows_without_a_label_are_left_out() -> None:
    given = {INPUT: np.arange(4)}

    found = LabelledRows.of(given, np.array([UNKNOWN, 1, NO_CLASS, 0]))

    assert found.rows[INPUT].tolist() == [1, 2, 3]
    assert found.labels.tolist() == [1, NO_CLASS, 0]
    with pytest.raises(InvalidInput, match="labels: none of them is known"):
        LabelledRows.of(given, np.full(4, UNKNOWN))


def test_rows_to_label_are_those_that_the_versions_disagree_on() -> None:
    old, new = np.random.default_rng(0).integers(3, size=(2, 30))
    differ = set(np.flatnonzero(old != new).tolist())

    chosen = choose_rows_to_label(old, new)
    assert set(chosen) == differ
    assert list(chosen) != sorted(chosen), "in random order: the first ones stand for all"
    assert chosen == choose_rows_to_label(old, new)

    labels = np.full(30, UNKNOWN)
    labels[list(chosen[:5])] = NO_CLASS
    assert choose_rows_to_label(old, new, labels) == chosen[5:]
    assert choose_rows_to_label(old, old) == ()


def test_rows_to_label_are_a_few() -> None:
    old = np.zeros(1000, np.int64)

    chosen = choose_rows_to_label(old, old + 1)

    assert len(set(chosen)) == MAX_ROWS_TO_LABEL
    assert 350 < np.mean(chosen) < 650, "from all of them"
