"""Inputs and requested outputs of V2 requests, where nothing but their description tells what is right."""

import json

import numpy as np
import pytest

from models.errors import InvalidInput
from models.manifest import TensorSpec
from service.wire import v2_inputs, v2_request


def spec(*shape: int) -> TensorSpec:
    return TensorSpec(name="x", datatype="FP32", shape=shape)


@pytest.mark.parametrize(
    ("shape", "expected"), [((-1, -1), (1, 6)), ((-1, 2, -1), (1, 2, 3)), ((-1, 3), (2, 3)), ((2, -1), (2, 3))]
)
def test_the_free_axes_of_a_raw_body_follow_from_its_size(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    values = np.arange(6, dtype=np.float32)

    array = v2_inputs.decode_raw(memoryview(values.tobytes()), [spec(*shape)], finite=True)["x"]

    assert array.shape == expected
    assert (array.reshape(-1) == values).all()


@pytest.mark.parametrize("shape", [(-1, -1, -1), (2, -1, -1)])
def test_a_raw_body_with_more_free_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="does not follow"):
        v2_inputs.decode_raw(memoryview(bytes(24)), [spec(*shape)], finite=True)


def test_outputs_in_shared_memory_are_refused() -> None:
    """Sent in the response instead, they would be overlooked by a client that reads its region."""
    request = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [0]}],
        "outputs": [{"name": "x", "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 4}}],
    }

    with pytest.raises(
        InvalidInput, match=r"outputs\[0\]\.parameters\.shared_memory_region: shared memory is not supported"
    ):
        v2_request.decode(json.dumps(request).encode(), None, [spec(-1, 1)], [spec(-1, 1)])


@pytest.mark.parametrize(("size", "message"), [(23, "got 23 bytes, expected a multiple of 12: FP32 of shape [-1, 3]")])
def test_a_raw_body_that_is_no_whole_number_of_rows_is_refused(size: int, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        v2_inputs.decode_raw(memoryview(bytes(size)), [spec(-1, 3)], finite=True)

    assert str(caught.value) == f"body: {message}"


def test_bytes_behind_the_json_part_need_the_header_with_its_length() -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1]}
    header = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 4}}]}).encode()
    specs = [spec(-1, 1)]

    with pytest.raises(
        InvalidInput, match=r"^Inference-Header-Content-Length: missing, expected the length of the JSON"
    ):
        v2_request.decode(header + b"\x00\x00\x80\x3f", None, specs, specs)
    assert v2_request.decode(header + b"\x00\x00\x80\x3f", str(len(header)), specs, specs).inputs["x"] == 1
    for broken in (json.dumps({"inputs": [tensor]}).encode() + b"\x00", header[:-1], header.replace(b"[", b"", 1)):
        with pytest.raises(InvalidInput, match=r"^body: not valid JSON"):
            v2_request.decode(broken, None, specs, specs)
