"""Classification over HTTP, as the protocol's tools read it."""

import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

URL = "/v2/models/tiny/infer"
ROWS = np.random.default_rng(5).normal(scale=3, size=(3, 4)).round(3).tolist()


def infer(client: TestClient, **output: Any) -> Any:
    tensor = {"name": "input", "datatype": "FP32", "shape": [3, 4], "data": ROWS}
    body = {"inputs": [tensor], "outputs": [{"name": "logits", "parameters": output}]}
    return client.post(URL, json=body)


@pytest.mark.parametrize(("asked", "got"), [(1, 1), (2, 2), (100, 2)])
def test_the_best_classes_come_with_their_labels(client: TestClient, asked: int, got: int) -> None:
    logits = np.array(infer(client).json()["outputs"][0]["data"]).reshape(3, 2)

    output = infer(client, classification=asked).json()["outputs"][0]

    assert (output["datatype"], output["shape"]) == ("BYTES", [3, got])
    for row, texts in zip(logits, np.array(output["data"]).reshape(3, got), strict=True):
        for index, text in zip(np.argsort(-row), texts, strict=False):
            score, position, label = text.split(":")
            assert float(score) == pytest.approx(row[index])
            assert (int(position), label) == (index, ("no", "yes")[index])


def test_classes_come_as_bytes_too(client: TestClient) -> None:
    texts = infer(client, classification=1).json()["outputs"][0]["data"]

    response = infer(client, classification=1, binary_data=True)

    header = int(response.headers["Inference-Header-Content-Length"])
    raw = response.content[header:]
    output = json.loads(response.content[:header])["outputs"][0]
    assert output["parameters"]["binary_data_size"] == len(raw)
    assert raw == b"".join(len(text).to_bytes(4, "little") + text.encode() for text in texts)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_a_classification_needs_a_number_of_classes(client: TestClient, count: Any) -> None:
    response = infer(client, classification=count)

    assert response.status_code == 400
    assert response.json()["error"].startswith("outputs[0].parameters.classification: ")
