"""Shapes that an input takes."""

import json

import pytest

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v2_request
from service.wire.tensors import MAX_EMPTY_SIZES, validate_tensor

FREE = TensorSpec(name="x", datatype="FP32", shape=(-1, -1, 3))


@pytest.mark.parametrize(
    "shape",
    [[0, 2**63, 3], [2**63, 0, 3], [0, 2**31, 3], [0, MAX_EMPTY_SIZES + 1, 3], [MAX_EMPTY_SIZES + 1, 0, 3]],
)
@pytest.mark.parametrize("binary", [False, True])
def test_sizes_that_come_with_no_bytes_are_bounded(shape: list[int], binary: bool) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": shape}
    content = {"parameters": {"binary_data_size": 0}} if binary else {"data": []}
    body = json.dumps({"inputs": [tensor | content]}).encode()

    with pytest.raises(InvalidInput, match=r"^inputs\[0\]\.shape: got .* a tensor without elements"):
        v2_request.decode(body, str(len(body)) if binary else None, [FREE], [FREE])


@pytest.mark.parametrize("shape", [[0, 0, 3], [0, MAX_EMPTY_SIZES, 3], [MAX_EMPTY_SIZES, 0, 3], [7, 0, 3]])
def test_other_empty_tensors_are_taken(shape: list[int]) -> None:
    validate_tensor(shape, "FP32", FREE, "x")


def test_the_sizes_of_the_model_itself_are_not_bounded() -> None:
    large = TensorSpec(name="x", datatype="FP32", shape=(-1, 2 * MAX_EMPTY_SIZES))

    validate_tensor([0, 2 * MAX_EMPTY_SIZES], "FP32", large, "x")
    validate_tensor([2**40, MAX_EMPTY_SIZES, 3], "FP32", FREE, "x")  # elements have bytes, which are counted later
