"""No disk is touched on the event loop: a fixture of all tests of the service fails those in which one is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.errors import StorageError
from models.repository.repository import Repository
from tests.service.catalogs import loaded
from tests.service.disk import watched

INPUT = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}


def test_a_call_on_the_event_loop_is_noticed_and_one_in_a_thread_is_not(
    repository: Repository, disk_calls: list[str]
) -> None:
    catalog = loaded(repository)

    async def call() -> None:
        await asyncio.to_thread(catalog.index)
        catalog.index()

    with watched() as found, ThreadPoolExecutor() as pool:
        pool.submit(asyncio.run, call()).result()
    disk_calls.clear()

    assert found == ["Repository.listing by Catalog.index"]


def test_requests_need_no_repository(own_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("the repository cannot be read")

    for name in ("listing", "models", "versions", "read", "rollout", "digest", "validate_version"):
        monkeypatch.setattr(Repository, name, refuse)

    assert own_client.post("/v2/models/tiny/infer", json={"inputs": [INPUT]}).status_code == 200
    assert own_client.post("/v2/models/nobody/infer", json={"inputs": [INPUT]}).status_code == 404
    assert own_client.post("/v2/models/tiny/versions/9/infer", json={"inputs": [INPUT]}).status_code == 404
    for path in (
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/tiny",
        "/v2/models/tiny/stats",
        "/v2/models/stats",
        "/v2/models/tiny/live",
        "/v2/models/tiny/recalibrations",
        "/metrics",
    ):
        assert own_client.get(path).status_code == 200, path
    for refused in (own_client.post("/v2/repository/index"), own_client.get("/v2/models/tiny/rollout")):
        assert refused.status_code == 503
        assert refused.json() == {"error": "the repository cannot be read"}
        assert refused.headers["retry-after"] == "5"
