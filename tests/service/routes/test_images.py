"""Predictions from images over HTTP."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.image_files import encode, png_header, random_pixels

PIXELS = random_pixels(8, 8)


@pytest.mark.parametrize("url", ["/v2/models/shapes/predict", "/v2/models/shapes/versions/1/predict"])
def test_it_answers_what_the_tensor_gives(client: TestClient, url: str) -> None:
    answer = client.post(url, content=encode(PIXELS)).json()
    row = ((PIXELS / 255 - 0.1307) / 0.3081).reshape(1, 1, 8, 8)
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": row.tolist()}
    output = client.post("/v2/models/shapes/infer", json={"inputs": [tensor]}).json()["outputs"][0]["data"]
    softmax = np.exp(output) / np.exp(output).sum()

    assert [entry["label"] for entry in answer["probabilities"]] == ["circle", "square", "star"]
    np.testing.assert_allclose([entry["probability"] for entry in answer["probabilities"]], softmax, rtol=1e-5)
    assert answer["label"] == ["circle", "square", "star"][int(np.argmax(output))]
    assert answer["probability"] == max(entry["probability"] for entry in answer["probabilities"])


def test_what_is_no_image_is_refused_by_field(client: TestClient) -> None:
    response = client.post("/v2/models/shapes/predict", content=b"hello")

    assert response.status_code == 400
    assert response.json()["error"].startswith("body: ")


def test_too_many_pixels_are_too_large(client: TestClient) -> None:
    assert client.post("/v2/models/shapes/predict", content=png_header(20_000, 20_000)).status_code == 413


def test_a_model_of_other_things_says_so(client: TestClient) -> None:
    response = client.post("/v2/models/tiny/predict", content=encode(PIXELS))

    assert response.status_code == 400
    assert "'tiny' has no images" in response.json()["error"]
