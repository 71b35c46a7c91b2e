"""What the service says of its models and their layers."""

import pytest
from starlette.testclient import TestClient


def test_models_are_listed(client: TestClient) -> None:
    assert client.get("/v2/models").json() == {"models": ["shapes", "tiny"]}


@pytest.mark.parametrize("url", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_metadata_describes_tensors_as_the_protocol_does(client: TestClient, url: str) -> None:
    assert client.get(url).json() == {
        "name": "tiny",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}],
        "properties": {"version": "1", "provider": "CPUExecutionProvider", "precision": "float32"},
    }


@pytest.mark.parametrize("url", ["/v2/models/shapes/card", "/v2/models/shapes/versions/1/card"])
def test_the_card_tells_where_a_model_comes_from(client: TestClient, url: str) -> None:
    card = client.get(url).json()

    assert card["labels"] == ["circle", "square", "star"]
    assert card["provider"] == "CPUExecutionProvider"
    assert card["precision"] == "float32"
    assert card["preprocessing"]["mode"] == "grey"
    assert card["parity"]["comparisons"][0]["candidate"] == "folded"
    assert card["lineage"]["origin"] == "trained"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/v2/models/nobody", "unknown model: 'nobody'"),
        ("/v2/models/tiny/versions/2", "version 2"),
        ("/v2/models/tiny/layers/nothing", "no normalisation layer 'nothing'"),
        ("/v2/models/tiny/nothing", "no such path '/v2/models/tiny/nothing'"),
        ("/nothing", "no such path '/nothing'"),
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, url: str, words: str) -> None:
    response = client.get(url)

    assert response.status_code == 404
    assert words in response.json()["error"]


def test_a_wrong_method_is_answered_in_the_protocols_format(client: TestClient) -> None:
    response = client.get("/v2/models/tiny/infer")

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.json() == {"error": "method: got GET, this path allows POST"}
