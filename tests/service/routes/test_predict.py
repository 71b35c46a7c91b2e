"""TensorFlow Serving's REST format."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

URL = "/v1/models/tiny:predict"
ROWS = [[0.5, -1.0, 2.0, 0.25], [1.0, 1.0, -1.0, 3.0]]


def v2_outputs(client: TestClient) -> list[Any]:
    tensor = {"name": "input", "datatype": "FP32", "shape": [2, 4], "data": ROWS}
    output = client.post("/v2/models/tiny/infer", json={"inputs": [tensor]}).json()["outputs"][0]
    return np.array(output["data"]).reshape(output["shape"]).tolist()


@pytest.mark.parametrize("url", [URL, "/v1/models/tiny/versions/1:predict"])
@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"instances": ROWS}, "predictions"),
        ({"instances": [{"input": row} for row in ROWS]}, "predictions"),
        ({"inputs": ROWS}, "outputs"),
        ({"inputs": {"input": ROWS}}, "outputs"),
    ],
    ids=["rows", "named rows", "columns", "named columns"],
)
def test_every_form_gives_what_v2_gives(client: TestClient, url: str, body: dict[str, Any], key: str) -> None:
    assert client.post(url, json=body).json() == {key: v2_outputs(client)}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"instances": ROWS, "inputs": ROWS}, "body"),
        ({"instances": []}, "instances"),
        ({"instances": 3}, "instances"),
        ({"instances": [[1, 2]]}, "instances.shape"),
        ({"instances": [[1, 2, 3, 4], [1]]}, "instances"),
        ({"instances": [[1, 2, 3, "4"]]}, "instances[3]"),
        ({"instances": [{"x": ROWS[0]}]}, "instances[0]"),
        ({"instances": [{"input": ROWS[0]}, ROWS[1]]}, "instances[1]"),
        ({"inputs": {"x": ROWS}}, "inputs"),
        ({"inputs": None}, "inputs"),
    ],
)
def test_a_bad_request_is_refused_by_its_field(client: TestClient, body: dict[str, Any], field: str) -> None:
    response = client.post(URL, json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{field}: ")


def test_status_lists_the_versions(client: TestClient) -> None:
    available = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}

    for url in ("/v1/models/tiny", "/v1/models/tiny/versions/1"):
        assert client.get(url).json() == {"name": "tiny", "ready": True, "model_version_status": [available]}


@pytest.mark.parametrize("url", ["/v1/models/nobody", "/v1/models/tiny/versions/9"])
def test_status_of_what_is_not_there_is_not_found(client: TestClient, url: str) -> None:
    assert client.get(url).status_code == 404
