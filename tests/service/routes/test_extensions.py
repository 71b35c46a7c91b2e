"""Extensions of the protocol that are not offered."""

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("logging", "log_level"),
        ("trace/setting", "OpenTelemetry"),
        ("models/tiny/trace/setting", "OpenTelemetry"),
        ("systemsharedmemory/status", "in binary"),
        ("systemsharedmemory/region/a/register", "in binary"),
        ("systemsharedmemory/unregister", "in binary"),
        ("cudasharedmemory/region/a/unregister", "in binary"),
        ("models/tiny/generate_stream", "/infer"),
        ("models/tiny/versions/1/generate_stream", "/infer"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_their_paths_say_so_and_what_to_do_instead(client: TestClient, method: str, path: str, instead: str) -> None:
    response = client.request(method, f"/v2/{path}")

    assert response.status_code == 501
    assert response.json()["error"].startswith("this service does not have the extension ")
    assert instead in response.json()["error"]


def test_they_are_not_listed(client: TestClient) -> None:
    listed = client.get("/v2").json()["extensions"]

    assert {"logging", "trace", "system_shared_memory", "cuda_shared_memory", "sequence"}.isdisjoint(listed)
    assert "binary_tensor_data" in listed


def test_other_methods_are_not_allowed(client: TestClient) -> None:
    response = client.delete("/v2/logging")

    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, POST")
