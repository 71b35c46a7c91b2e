"""Encoded images in requests of V2 and V1, where a model's manifest says how an image becomes a row."""

import base64
import json
import struct
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.image_files import encode, png_header, random_pixels

V2 = "/v2/models/shapes/infer"
V1 = "/v1/models/shapes:predict"
PIXELS = random_pixels(3, 8, 8)
FILES = [encode(PIXELS[0]), encode(PIXELS[1]), encode(PIXELS[2])]


def expected(client: TestClient) -> np.ndarray:
    rows = ((PIXELS / 255 - 0.1307) / 0.3081).reshape(3, 1, 8, 8)
    tensor = {"name": "input", "datatype": "FP32", "shape": [3, 1, 8, 8], "data": rows.tolist()}
    output = client.post(V2, json={"inputs": [tensor]}).json()["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"])


def post(client: TestClient, files: list[bytes], shape: list[int], url: str = V2) -> httpx.Response:
    raw = b"".join(struct.pack("<I", len(file)) + file for file in files)
    tensor = {"name": "input", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor]}).encode()
    return client.post(url, content=head + raw, headers={"Inference-Header-Content-Length": str(len(head))})


def in_base64(file: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(file).decode()}


def error_of(response: httpx.Response, status: int = 400) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["error"])


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_a_binary_tensor_of_files_is_a_batch(client: TestClient, shape: list[int]) -> None:
    for _ in range(2):  # no request is mistaken for an earlier one
        output = post(client, FILES, shape).json()["outputs"][0]

        assert output["shape"] == [3, 3]
        np.testing.assert_allclose(np.array(output["data"]).reshape(3, 3), expected(client), rtol=1e-5)


def test_no_files_are_no_rows(client: TestClient) -> None:
    assert post(client, [], [0]).json()["outputs"][0]["shape"] == [0, 3]


@pytest.mark.parametrize(
    ("files", "shape", "status", "message"),
    [
        ([FILES[0], b"hello"], [2], 400, "inputs[0].data[1]: expected a PNG or JPEG image"),
        ([FILES[0], FILES[1][:60]], [2], 400, "inputs[0].data[1]: expected a PNG or JPEG image"),
        (FILES, [1, 3], 400, "inputs[0].shape: got [1, 3], images as BYTES have the shape [n] or [n, 1]"),
        (FILES, [], 400, "inputs[0].shape: got [], images as BYTES"),
        (FILES[:2], [3], 400, "inputs[0].data[2]: "),
        (FILES, [2], 400, "inputs[0].data: "),
        ([png_header(20_000, 20_000)], [1], 413, "inputs[0].data[0]: got 20000 x 20000 pixels"),
        ([FILES[0], png_header(6_000, 6_000)], [2], 413, "inputs[0].data[1]: got 36000064 pixels up to this image"),
        (FILES, [2**40], 400, "inputs[0].data: got "),
    ],
    ids=["no image", "cut", "rows", "scalar", "too few", "too many", "large", "large together", "enormous"],
)
def test_bad_files_are_refused_by_their_place(
    client: TestClient, files: list[bytes], shape: list[int], status: int, message: str
) -> None:
    assert error_of(post(client, files, shape), status).startswith(message)


def test_files_are_not_sent_in_the_json_of_v2(client: TestClient) -> None:
    tensor = {"name": "input", "datatype": "BYTES", "shape": [1], "data": [in_base64(FILES[0])["b64"]]}

    error = error_of(client.post(V2, json={"inputs": [tensor]}))

    assert error.startswith("inputs[0].datatype: got BYTES, input 'input' expects FP32")


def test_files_are_not_sent_in_the_json_part_either(client: TestClient) -> None:
    tensor = {"name": "input", "datatype": "BYTES", "shape": [1], "data": ["text"]}
    head = json.dumps({"inputs": [tensor]}).encode()

    error = error_of(client.post(V2, content=head, headers={"Inference-Header-Content-Length": str(len(head))}))

    assert error == "inputs[0].data: got JSON, images as BYTES are bytes: send a binary tensor"


def test_a_model_without_preprocessing_takes_no_files(client: TestClient) -> None:
    error = error_of(post(client, FILES, [3], "/v2/models/tiny/infer"))

    assert error.startswith("inputs[0].datatype: got BYTES, input 'input' expects FP32")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"instances": [in_base64(file) for file in FILES]}, "predictions"),
        ({"instances": [{"input": in_base64(file)} for file in FILES]}, "predictions"),
        ({"inputs": [in_base64(file) for file in FILES]}, "outputs"),
        ({"inputs": {"input": [in_base64(file) for file in FILES]}}, "outputs"),
    ],
    ids=["rows", "named rows", "columns", "named columns"],
)
def test_v1_takes_files_in_base64(client: TestClient, body: dict[str, Any], key: str) -> None:
    np.testing.assert_allclose(client.post(V1, json=body).json()[key], expected(client), rtol=1e-5)


def test_large_files_give_what_their_bodies_give(client: TestClient) -> None:
    files = [encode(random_pixels(300, 300)), encode(random_pixels(400, 300, 3), "JPEG", quality=100)]
    outputs = post(client, files, [2]).json()["outputs"][0]["data"]
    scores = client.post(V1, json={"instances": [in_base64(file) for file in files]}).json()["predictions"]
    singly = [client.post("/v2/models/shapes/predict", content=file).json()["probabilities"] for file in files]

    assert scores == [outputs[:3], outputs[3:]]
    odds = np.exp(scores)
    expected = [[entry["probability"] for entry in entries] for entries in singly]
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), expected, rtol=1e-5)


def test_v1_takes_one_file_as_the_column(client: TestClient) -> None:
    answer = client.post(V1, json={"inputs": in_base64(FILES[0])}).json()

    np.testing.assert_allclose(answer["outputs"], expected(client)[:1], rtol=1e-5)


@pytest.mark.parametrize(
    ("instances", "status", "message"),
    [
        ([in_base64(FILES[0]), in_base64(b"hello")], 400, "instances[1]: expected a PNG or JPEG image"),
        ([in_base64(FILES[0]), {"b64": "?"}], 400, "instances[1].b64: not valid base64"),
        ([in_base64(FILES[0]), [1.0]], 400, "instances[1]: expected an object with 'b64'"),
        ([[1.0], in_base64(FILES[0])], 400, "instances: got lists that differ"),
        ([in_base64(png_header(20_000, 20_000))], 413, "instances[0]: got 20000 x 20000 pixels"),
    ],
    ids=["no image", "no base64", "numbers behind it", "numbers before it", "large"],
)
def test_v1_refuses_bad_files_by_their_place(
    client: TestClient, instances: list[Any], status: int, message: str
) -> None:
    assert error_of(client.post(V1, json={"instances": instances}), status).startswith(message)
