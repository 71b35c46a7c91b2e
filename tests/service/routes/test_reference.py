"""References over HTTP: from rows in the request, or of the traffic; followed and cancelled as other jobs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.recalibrating import tensor
from tests.service.conftest import started
from tests.watching import usual_rows, watched_bundle

URL = "/v2/models/loose/reference"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    root: Path = tmp_path_factory.mktemp("reference") / "repository"
    repository = Repository(root)
    repository.publish(watched_bundle("loose", calibrated=False))
    with started(repository) as client:
        yield client


def finished(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    return dict(client.get(f"{URL}/{job['id']}", params={"wait": 60}).json())


def test_traffic_that_is_declared_good_gives_a_new_version_thresholds(client: TestClient) -> None:
    answer = client.post(URL, json={"collect": 100, "parameters": {"spread": 1, "timeout_seconds": 60}})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], job["state"], job["prior"]) == ("reference", "collecting", None)

    for seed in range(2):
        rows = usual_rows(64, seed)
        sent = client.post("/v2/models/loose/infer", json={"inputs": [tensor(rows)]})
        assert sent.status_code == 200
    done = finished(client, job)

    assert (done["state"], done["published"]) == ("published", 2), done["reason"]
    assert {gate["name"] for gate in done["gates"]} == {"rows", "false_alarms"}
    card = client.get("/v2/models/loose/versions/2/card").json()
    assert (card["lineage"]["origin"], card["lineage"]["parent"]["version"]) == ("referenced", 1)
    assert "layer_statistics" not in card["unavailable"]
    assert "layer_statistics" in client.get("/v2/models/loose/versions/1/card").json()["unavailable"]
    assert client.get("/v2/models/loose").json()["properties"]["version"] == "1"


def test_rows_may_be_sent(client: TestClient) -> None:
    answer = client.post(URL, json={"inputs": [tensor(usual_rows(120))]})

    done = finished(client, answer.json())

    assert done["state"] == "published", done["reason"]
    assert done["target_rows"] == 120


def test_jobs_are_listed_by_their_kind_and_can_be_cancelled(client: TestClient) -> None:
    job = client.post(URL, json={"collect": 5000}).json()

    assert client.get(URL).json()["references"][0]["id"] == job["id"]
    assert client.get("/v2/models/loose/recalibrations").json() == {"recalibrations": []}
    assert client.get(f"/v2/models/loose/recalibrations/{job['id']}").status_code == 404
    assert client.delete(f"{URL}/{job['id']}").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"collect": 79}, "collect"),
        ({"collect": 5001}, "collect"),
        ({"collect": 100, "parameters": {"prior": 8}}, "parameters.prior"),
        ({"inputs": [tensor(np.zeros((3, 5), np.float32))]}, "inputs[0].shape"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_the_field(
    client: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = client.post(URL, json=body)

    assert answer.status_code == 400
    assert field in answer.json()["error"]
