"""Liveness, readiness, server metadata and metrics."""

import pytest
from starlette.testclient import TestClient


def test_bodies_are_what_both_triton_and_kserve_clients_read(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
    assert client.get("/v2/models/tiny/versions/1/ready").json() == {"name": "tiny", "ready": True}


@pytest.mark.parametrize("url", ["/v2", "/v2/"])
def test_the_server_names_itself(client: TestClient, url: str) -> None:
    answer = client.get(url).json()

    assert answer["name"] == "denge"
    assert "model_repository" in answer["extensions"]


def test_metrics_count_what_happened(own_client: TestClient) -> None:
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
