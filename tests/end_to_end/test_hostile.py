"""Hostile models and locks that others hold, against a service of its own: it starts, serves the others, and stops."""

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import httpx2 as httpx
import pytest

from models.repository.repository import Repository
from tests import hostile
from tests.bundles import tiny_bundle
from tests.end_to_end.conftest import TIMEOUT_SECONDS, running

ROW = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}]}
ONES = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 2], "data": [1.0] * 2}]}


def until_ready(client: httpx.Client, *models: str) -> None:
    deadline = monotonic() + TIMEOUT_SECONDS
    while not all(client.get(f"/v2/models/{model}/ready").is_success for model in models):
        assert monotonic() < deadline, client.post("/v2/repository/index").text


@pytest.mark.slow
def test_hostile_models_and_held_locks_keep_it_from_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for bundle in (hostile.endless(), hostile.endless_on_ones(), tiny_bundle()):
        repository.publish(bundle)
    limits = ["--load-seconds", "15", "--run-seconds", "1"]
    with (
        running(repository.root, *limits) as process,
        httpx.Client(base_url=process.url, timeout=TIMEOUT_SECONDS) as client,
        ThreadPoolExecutor() as pool,
    ):
        until_ready(client, "tiny", "moody")  # the port may open before all models are loaded
        assert client.post("/v2/models/tiny/infer", json=ROW).status_code == 200
        ended = client.post("/v2/models/moody/infer", json=ONES)
        assert (ended.status_code, ended.json()["error"]) == (503, "the model did not finish within 1 s, and was ended")
        refused = client.post("/v2/repository/models/endless/load")
        assert refused.status_code == 503
        index = {entry["name"]: entry for entry in client.post("/v2/repository/index").json()}
        assert "its trial was not finished" in index["endless"]["reason"]
        assert index["tiny"]["state"] == "READY"

        descriptor = os.open(repository.root / "tiny", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            waiting = pool.submit(client.post, "/v2/models/tiny/rollout/promote", json={"version": 1})
            assert httpx.post(f"{process.url}/v2/repository/index", timeout=TIMEOUT_SECONDS).status_code == 200
            assert process.stop() == 0
            assert waiting.result().status_code == 503
        finally:
            os.close(descriptor)
