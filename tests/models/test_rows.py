"""Rows for the inputs of a model."""

import numpy as np
import pytest

from models.datatypes import Arrays
from models.errors import InvalidInput
from models.manifest import TensorSpec
from models.rows import count_rows, random_rows, stack_rows, validate_rows, zeros

INPUTS = (
    TensorSpec(name="x", datatype="FP32", shape=(-1, 3, -1)),
    TensorSpec(name="mask", datatype="BOOL", shape=(-1,)),
)


def rows(**changes: np.ndarray) -> Arrays:
    return {"x": np.zeros((5, 3, 2), np.float32), "mask": np.ones(5, bool)} | changes


def test_valid_rows_are_counted() -> None:
    assert validate_rows(rows(), INPUTS, "rows") == 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "rows: the model's inputs are x, mask; got none"),
        ({"x": rows()["x"]}, "rows: the model's inputs are x, mask; got x"),
        (rows(y=np.zeros(5)), "the model's inputs are x, mask; got x, mask, y"),
        (rows(x=np.zeros((5, 3, 2))), r"'x' takes FP32 of shape \[-1, 3, -1\], got float64 of shape \[5, 3, 2\]"),
        (rows(x=np.zeros((5, 4, 2), np.float32)), r"'x' takes .* got float32 of shape \[5, 4, 2\]"),
        (rows(x=np.zeros((5, 3), np.float32)), r"'x' takes .* got float32 of shape \[5, 3\]"),
        (rows(x=np.full((5, 3, 2), np.nan, np.float32)), "'x' has a value that is not finite"),
        (rows(mask=np.ones(4, bool)), "the inputs have different numbers of rows: {'x': 5, 'mask': 4}"),
    ],
)
def test_rows_that_are_not_the_models_are_refused_with_what_was_expected(given: Arrays, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        validate_rows(given, INPUTS, "rows")


@pytest.mark.parametrize(("given", "count"), [({}, 0), ({"a": np.zeros((0, 2))}, 0), ({"a": np.zeros((3, 2))}, 3)])
def test_rows_are_counted_along_the_first_axis(given: Arrays, count: int) -> None:
    assert count_rows(given) == count


def test_single_rows_are_stacked_by_input() -> None:
    single = [{"a": np.array([1.0, 2.0]), "b": np.array(3)}, {"a": np.array([4.0, 5.0]), "b": np.array(6)}]
    stacked = stack_rows(single)

    np.testing.assert_array_equal(stacked["a"], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(stacked["b"], [3, 6])
    assert count_rows(stacked) == 2


@pytest.mark.parametrize("shape", [(), (5, 3, 2)])
def test_a_model_without_a_batch_axis_has_no_rows(shape: tuple[int, ...]) -> None:
    spec = TensorSpec(name="x", datatype="FP32", shape=shape)

    with pytest.raises(InvalidInput, match="rows: the model has no batch axis"):
        validate_rows({"x": np.zeros(shape, np.float32)}, (spec,), "rows")


def test_axes_as_long_as_the_batch_get_the_number_of_rows() -> None:
    state = TensorSpec(name="state", datatype="FP32", shape=(2, -1, -1), batch_axes=(1,))

    assert random_rows((state,), 5, seed=0)["state"].shape == (2, 5, 64)
    assert zeros(state, 5).shape == (2, 5, 1)


def test_random_rows_have_each_inputs_type_and_shape() -> None:
    inputs = (
        TensorSpec(name="image", datatype="FP16", shape=(-1, 3, -1, -1)),
        TensorSpec(name="tokens", datatype="INT64", shape=(-1, 7)),
        TensorSpec(name="mask", datatype="BOOL", shape=(-1, 7)),
    )

    rows = random_rows(inputs, 5, seed=0)

    assert {name: (values.shape, values.dtype.name) for name, values in rows.items()} == {
        "image": ((5, 3, 64, 64), "float16"),
        "tokens": ((5, 7), "int64"),
        "mask": ((5, 7), "bool"),
    }
    assert set(rows["tokens"].ravel().tolist()) == {0, 1}
