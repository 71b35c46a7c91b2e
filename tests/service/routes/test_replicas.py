"""The replicas as a client sees them, and a store that does not answer."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from models.version import VERSION
from service.app import create_app
from service.settings import Settings
from tests import valkey
from tests.bundles import NORM, tiny_bundle
from tests.service.routes.conftest import publish_observable
from tests.service.routes.observing import TINY, get, serving, until
from tests.watching import usual_rows

ROW = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}]}


def test_a_service_without_a_store_is_its_only_replica(client: TestClient) -> None:
    answer = client.get("/v2/replicas").json()

    (replica,) = answer["replicas"]
    assert replica["is_this"]
    assert (replica["state"], replica["version"]) == ("ready", VERSION)
    assert replica["catalog_revision"] >= 1
    assert answer["store"] == {"name": "memory", "available": True, "unavailable_since": None}
    lines = client.get("/metrics").text.splitlines()
    assert "denge_store_up 1.0" in lines
    assert "denge_replicas 1.0" in lines


def test_two_services_on_one_store_serve_the_same(repository: Repository, tmp_path: Path) -> None:
    settings = Settings(repository=repository.root, store="sqlite", state_dir=tmp_path, concurrency=1)
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as first:
        with TestClient(create_app(settings), "http://127.0.0.1:8001") as second:
            assert len(first.get("/v2/replicas").json()["replicas"]) == 2
            repository.publish(tiny_bundle(seed=1))
            assert first.post("/v2/repository/models/tiny/load").status_code == 200
            assert second.post("/v2/models/tiny/infer", json=ROW).json()["model_version"] == "2"
            assert second.post("/v2/models/tiny/rollout/promote", json={"version": 1}).status_code == 200
            assert first.post("/v2/models/tiny/infer", json=ROW).json()["model_version"] == "1"
        assert len(first.get("/v2/replicas").json()["replicas"]) == 1


def test_two_services_on_one_store_have_one_drift_and_one_alarm(tmp_path: Path) -> None:
    repository = publish_observable(tmp_path / "repository")
    with serving(repository, store="sqlite") as first, serving(repository, store="sqlite") as second:
        both = (first, second)
        until(first, usual_rows(20) + 3, lambda: get(second, f"{TINY}/rollout")["versions"][0]["drift"])
        until(second, usual_rows(20) + 3, lambda: get(first, f"{TINY}/drift")["alarm"])

        for client in both:
            assert get(client, f"{TINY}/rollout")["versions"][0]["drift"]["alarm"]
            assert 'denge_drift_alarm{model="tiny",version="1"} 1.0' in client.get("/metrics").text
            assert get(client, f"{TINY}/drift?window=last")["significant"]
        window = f"{TINY}/layers/{NORM}/live?window=start"
        await_equal(lambda: [get(client, window) for client in both])
        assert get(first, f"{TINY}/live?window=start")["observed"]["rows"] > 0


def await_equal(read: Callable[[], list[Any]]) -> None:
    """Return when all replicas answer the same: what the last one has observed is written within seconds."""
    deadline = monotonic() + 30
    found = read()
    while any(each != found[0] for each in found):
        assert monotonic() < deadline, found
        found = read()


def test_without_the_store_predictions_go_on_and_changes_are_refused(repository: Repository) -> None:
    with valkey.running() as server:
        settings = Settings(repository=repository.root, store=server.url, concurrency=1)
        with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
            assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
            server.kill()

            refused = client.post("/v2/models/tiny/rollout/promote", json={"version": 1})
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            assert f"the store (Valkey at {server.path}, database 0) does not answer" in refused.json()["error"]
            assert client.post("/v2/models/tiny/infer", json=ROW).status_code == 200
            ready = client.get("/v2/health/ready")
            assert ready.status_code == 200
            assert ready.json()["warnings"] == [f"the store (Valkey at {server.path}, database 0) does not answer"]
            answer = client.get("/v2/replicas").json()
            assert [replica["is_this"] for replica in answer["replicas"]] == [True]
            assert not answer["store"]["available"]
            assert "denge_store_up 0.0" in client.get("/metrics").text

            server.start()
            assert client.post("/v2/models/tiny/rollout/promote", json={"version": 1}).status_code == 200
            assert client.get("/v2/replicas").json()["store"]["available"]


@pytest.mark.parametrize("store", ["redis://127.0.0.1:1", "unix:///no/such/socket"])
def test_a_service_starts_without_its_store(repository: Repository, store: str) -> None:
    settings = Settings(repository=repository.root, store=store, concurrency=1)
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
        assert client.post("/v2/models/tiny/infer", json=ROW).status_code == 200


def test_collected_rows_are_for_replicas_only(client: TestClient) -> None:
    for headers in ({}, {"Authorization": "Bearer guessed"}):
        refused = client.get("/v2/replicas/rows/0123456789abcdef", headers=headers)
        assert refused.status_code == 403
        assert refused.json() == {"error": "this is for replicas of this service only"}
    assert "/v2/replicas/rows/{job}" not in client.get("/openapi.json").json()["paths"]
