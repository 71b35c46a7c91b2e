"""Re-calibration as users have it: over HTTP, from one process or several, and when the service is killed."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

from models.repository.repository import Repository
from tests.end_to_end.conftest import Process, running
from tests.recalibrating import ROWS, URL, confident_repository, tensor


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return confident_repository(tmp_path / "repository")


@pytest.fixture(params=["1", pytest.param("2", marks=pytest.mark.slow)], ids=["one process", "two workers"])
def process(request: pytest.FixtureRequest, repository: Repository) -> Iterator[Process]:
    with running(repository.root, "--workers", request.param) as process:
        yield process


def rows(first: int, last: int) -> dict[str, object]:
    return {"inputs": [tensor(ROWS[first:last])]}


def test_rows_of_the_traffic_become_a_version_that_is_not_the_default(process: Process) -> None:
    def ask(first: int) -> None:
        with httpx2.Client(base_url=process.url, timeout=60) as client:
            assert client.post("/v2/models/tiny/infer", json=rows(first, first + 4)).status_code == 200

    with httpx2.Client(base_url=process.url, timeout=120) as client, ThreadPoolExecutor(4) as pool:
        job = client.post(URL, json={"collect": 64, "parameters": {"spread": 2}}).json()
        list(pool.map(ask, range(0, 128, 4)))
        done = client.get(f"{URL}/{job['id']}", params={"wait": 60}).json()

        assert (done["state"], done["rows"], done["seen"]) == ("published", 64, 128)
        assert client.post("/v2/models/tiny/infer", json=rows(0, 1)).json()["model_version"] == "1"
        named = client.post("/v2/models/tiny/versions/2/infer", json=rows(0, 1))
        assert named.json()["model_version"] == "2"
    assert process.stop() == 0


@pytest.mark.slow
def test_a_service_that_is_killed_during_a_job_knows_what_became_of_it(repository: Repository) -> None:
    with running(repository.root) as process, httpx2.Client(base_url=process.url) as client:
        job = client.post(URL, json=rows(0, 128)).json()
        process.popen.send_signal(signal.SIGKILL)
        process.popen.wait()
    with running(repository.root) as process, httpx2.Client(base_url=process.url, timeout=60) as client:
        known = client.get(f"{URL}/{job['id']}").json()
        assert known["state"] in {"lost", "published"}  # where the job was faster than the signal
        assert client.post("/v2/models/tiny/infer", json=rows(0, 1)).json()["model_version"] == "1"
        for version in repository.versions("tiny"):
            repository.read("tiny", version)  # verified: whole


@pytest.mark.slow
def test_a_starter_is_protected_from_rows_of_a_single_class(starters: Process) -> None:
    generator = np.random.default_rng(0)
    with httpx2.Client(base_url=starters.url, timeout=120) as client:
        image = Image.open(BytesIO(client.get("/docs/seven.png").content))
        seven = np.asarray(image, np.float32).reshape(28, 28)
        shifted = [np.roll(seven, generator.integers(-3, 4, 2), (0, 1)) for _ in range(96)]
        dark = np.stack(shifted).reshape(96, 784) * generator.uniform(0.2, 0.4, (96, 1)).astype(np.float32) / 255
        job = client.post("/v2/models/mlp/recalibrations", json={"inputs": [tensor(dark)]}).json()
        done = client.get(f"/v2/models/mlp/recalibrations/{job['id']}", params={"wait": 60}).json()

        assert done["state"] == "refused"
        assert {gate["name"] for gate in done["gates"]} >= {"rows", "drift", "diversity", "agreement", "growth"}
        assert client.get("/v2/models/mlp").json()["versions"] == ["1"]
