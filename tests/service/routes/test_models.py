"""What the service says of its models and their layers."""

import pytest
from starlette.testclient import TestClient

from tests.bundles import tiny_bundle


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
        "properties": {"version": "1", "provider": "CPUExecutionProvider"},
    }


@pytest.mark.parametrize("url", ["/v2/models/shapes/card", "/v2/models/shapes/versions/1/card"])
def test_the_card_tells_where_a_model_comes_from(client: TestClient, url: str) -> None:
    card = client.get(url).json()

    assert card["labels"] == ["circle", "square", "star"]
    assert card["provider"] == "CPUExecutionProvider"
    assert card["preprocessing"]["mode"] == "grey"
    assert card["parity"]["comparisons"][0]["candidate"] == "folded"
    assert card["lineage"]["origin"] == "trained"


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_layers_are_listed_with_their_place(client: TestClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/layers").json()

    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1")
    (layer,) = answer["layers"]
    assert (layer["name"], layer["num_features"]) == ("norm", 3)
    assert (layer["placement"]["kind"], layer["placement"]["into"]) == ("folded_back", ["fc"])


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_a_layer_tells_what_it_remembers(client: TestClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/layers/norm").json()
    (layer,) = tiny_bundle().manifest.norm_layers

    for name in ("running_mean", "running_var", "gamma", "beta"):
        assert tuple(answer[name]) == getattr(layer, name)
        assert name in answer["units"]
    assert (answer["eps"], answer["momentum"]) == (layer.eps, layer.momentum)


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


class TestHealth:
    """Liveness, readiness, metadata."""

    def test_bodies_are_what_both_triton_and_kserve_clients_read(self, client: TestClient) -> None:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
        assert client.get("/v2/models/tiny/versions/1/ready").json() == {"name": "tiny", "ready": True}

    @pytest.mark.parametrize("url", ["/v2", "/v2/"])
    def test_the_server_names_itself(self, client: TestClient, url: str) -> None:
        answer = client.get(url).json()

        assert answer["name"] == "denge"
        assert "model_repository" in answer["extensions"]

    def test_metrics_count_what_happened(self, own_client: TestClient) -> None:
        tensor = {"name": "input", "datatype": "FP32", "shape": [3, 4], "data": [0.0] * 12}
        own_client.post("/v2/models/tiny/infer", json={"inputs": [tensor]})
        own_client.get("/no/such/path")
        lines = own_client.get("/metrics").text.splitlines()

        assert 'denge_inferences_total{model="tiny",outcome="success",version="1"} 1.0' in lines
        assert 'denge_inference_rows_total{model="tiny",version="1"} 3.0' in lines
        assert 'denge_model_info{model="tiny",provider="CPUExecutionProvider",version="1"} 1.0' in lines
        assert 'denge_http_requests_total{method="GET",route="none",status="404"} 1.0' in lines
        assert 'denge_model_norm_layers{model="tiny",placement="folded_back",version="1"} 1.0' in lines
        assert not any("no/such/path" in line for line in lines)

    def test_every_answer_has_a_request_id(self, client: TestClient) -> None:
        first, second = (client.get("/v2/health/live").headers["X-Request-ID"] for _ in range(2))

        assert first != second
        assert client.get("/nothing", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"

    @pytest.mark.parametrize("identity", ["a b", "x" * 129, "{}", '"', "ü"])
    def test_an_id_that_could_be_misread_is_replaced(self, client: TestClient, identity: str) -> None:
        answer = client.get("/v2/health/live", headers={"X-Request-ID": identity.encode()})

        assert answer.headers["X-Request-ID"] != identity
