"""Statistics, as a load generator reads them before and after."""

from typing import Any

import pytest
from starlette.testclient import TestClient

THREE_ROWS = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [3, 4], "data": [0.5] * 12}]}


def test_rows_runs_and_requests_are_counted(own_client: TestClient) -> None:
    def read() -> dict[str, Any]:
        (entry,) = own_client.get("/v2/models/tiny/stats").json()["model_stats"]
        return entry

    assert read()["last_inference"] == 0
    for _ in range(2):
        own_client.post("/v2/models/tiny/infer", json=THREE_ROWS)
    after = read()

    assert (after["name"], after["version"]) == ("tiny", "1")
    assert (after["inference_count"], after["execution_count"]) == (6, 2)
    times = after["inference_stats"]
    assert times["success"]["count"] == times["queue"]["count"] == times["compute_infer"]["count"] == 2
    assert times["success"]["ns"] >= times["compute_infer"]["ns"] > 0
    assert set(times) >= {"fail", "compute_input", "compute_output", "cache_hit", "cache_miss"}
    assert [(entry["batch_size"], entry["compute_infer"]["count"]) for entry in after["batch_stats"]] == [(3, 2)]
    assert after["last_inference"] > 0
    assert (after["pending"], after["refused"]) == (0, {"queue_full": 0, "evicted": 0, "timeout": 0})


def test_statistics_are_of_all_models_or_of_one_version(client: TestClient) -> None:
    names = [entry["name"] for entry in client.get("/v2/models/stats").json()["model_stats"]]
    one = client.get("/v2/models/tiny/versions/1/stats").json()["model_stats"]

    assert sorted(names) == ["shapes", "tiny"]
    assert [entry["name"] for entry in one] == ["tiny"]


@pytest.mark.parametrize("url", ["/v2/models/nobody/stats", "/v2/models/tiny/versions/9/stats"])
def test_statistics_of_what_is_not_there_are_not_found(client: TestClient, url: str) -> None:
    assert client.get(url).status_code == 404
