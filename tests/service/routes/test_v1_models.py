"""Models in TensorFlow Serving's REST format: status, metadata, labels, and paths with verbs."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.service.conftest import started

AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
ROWS = [[0.5, -1.0, 2.0, 0.25], [1.0, 1.0, -1.0, 3.0]]


def tensor(name: str, dtype: str, *sizes: int) -> Any:
    dims = [{"size": str(size), "name": ""} for size in sizes]
    return {"name": name, "dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}}


@pytest.mark.parametrize("path", ["", "/versions/1", "/versions/0", "/labels/stable"])
def test_metadata_has_one_signature(client: TestClient, path: str) -> None:
    signature = {
        "inputs": {"input": tensor("input", "DT_FLOAT", -1, 4)},
        "outputs": {"logits": tensor("logits", "DT_FLOAT", -1, 2)},
        "method_name": "tensorflow/serving/predict",
    }

    assert client.get(f"/v1/models/tiny{path}/metadata").json() == {
        "model_spec": {"name": "tiny", "signature_name": "", "version": "1"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    }


def test_models_are_listed(client: TestClient) -> None:
    assert client.get("/v1/models").json() == {"models": ["shapes", "tiny"]}


def test_version_0_is_the_default(three: Repository) -> None:
    """OpenVINO Model Server's clients send it for a version that is not named."""
    with started(three) as client:
        client.post("/v2/models/tiny/rollout/promote", json={"version": 2})
        body = {"instances": ROWS}

        metadata = client.get("/v1/models/tiny/versions/0/metadata").json()
        status = client.get("/v1/models/tiny/versions/0").json()
        predicted = client.post("/v1/models/tiny/versions/0:predict", json=body)

        assert metadata == client.get("/v1/models/tiny/versions/2/metadata").json()
        assert status == client.get("/v1/models/tiny").json()
        assert predicted.json() == client.post("/v1/models/tiny/versions/2:predict", json=body).json()
        assert predicted.json() != client.post("/v1/models/tiny/versions/1:predict", json=body).json()
        assert client.get("/v2/models/tiny/versions/0").status_code == 400


@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
@pytest.mark.parametrize("version", ["", "/versions/1", "/labels/stable"])
def test_a_verb_allows_only_post(client: TestClient, verb: str, version: str) -> None:
    response = client.get(f"/v1/models/tiny{version}:{verb}")

    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def test_the_status_allows_no_post(client: TestClient) -> None:
    response = client.post("/v1/models/tiny")

    assert response.status_code == 405
    assert "POST" not in response.headers["Allow"]


class TestLabels:
    """Labels of versions."""

    def answered_by(self, client: TestClient, label: str) -> Any:
        return client.get(f"/v1/models/tiny/labels/{label}/metadata").json()["model_spec"]["version"]

    def test_stable_is_the_default_and_canary_the_canary(self, three: Repository) -> None:
        with started(three) as client:
            assert self.answered_by(client, "stable") == "1"
            missing = client.get("/v1/models/tiny/labels/canary")
            assert missing.status_code == 404
            assert missing.json()["error"] == "no version of model 'tiny' has the label 'canary'"

            client.put("/v2/models/tiny/rollout/canary", json={"version": 3, "share": 0.5}).raise_for_status()

            assert self.answered_by(client, "canary") == "3"

    def test_a_version_is_labelled_and_predicts(self, three: Repository) -> None:
        with started(three) as client:
            url = "/v2/models/tiny/rollout/labels/tested"
            response = client.put(url, json={"version": 2})
            assert response.json() == {"model_name": "tiny", "labels": {"tested": "2"}}

            by_label = client.post("/v1/models/tiny/labels/tested:predict", json={"instances": ROWS})
            by_number = client.post("/v1/models/tiny/versions/2:predict", json={"instances": ROWS})
            by_default = client.post("/v1/models/tiny:predict", json={"instances": ROWS})
            status = client.get("/v1/models/tiny/labels/tested").json()

            assert by_label.json() == by_number.json() != by_default.json()
            assert status["model_version_status"] == [{"version": "2", **AVAILABLE}]
            assert client.get("/v2/models/tiny/rollout").json()["labels"] == {"tested": "2"}

            moved = client.put(url, json={"version": 3})
            assert moved.json()["labels"] == {"tested": "3"}
            assert client.delete(url).json()["labels"] == {}
            assert client.post("/v1/models/tiny/labels/tested:predict", json={"instances": ROWS}).status_code == 404

    def test_a_label_survives_a_restart_and_keeps_its_version(self, three: Repository) -> None:
        with started(three) as client:
            client.put("/v2/models/tiny/rollout/labels/old", json={"version": 1}).raise_for_status()
            client.post("/v2/models/tiny/rollout/promote", json={"version": 3}).raise_for_status()
            refused = client.post("/v2/repository/models/tiny/versions/1/unload")
            assert refused.status_code == 400
            assert "a label" in refused.json()["error"]
        with started(three) as client:
            assert self.answered_by(client, "old") == "1"
            assert client.post("/v2/repository/models/tiny/prune", json={"keep": 1}).json()["deleted"] == ["2"]

    @pytest.mark.parametrize(
        ("label", "version", "status", "message"),
        [
            ("stable", 2, 400, "label: 'stable' follows from the rollout"),
            ("canary", 2, 400, "label: 'canary' follows from the rollout"),
            ("1a", 2, 400, "label: expected 1 to 63 letters"),
            ("tested", 9, 404, "version 9 is not found"),
            ("tested", True, 400, "body.version: got True, expected a valid integer"),
        ],
    )
    def test_what_is_no_label_is_refused(
        self, three: Repository, label: str, version: Any, status: int, message: str
    ) -> None:
        with started(three) as client:
            response = client.put(f"/v2/models/tiny/rollout/labels/{label}", json={"version": version})
            removed = client.delete("/v2/models/tiny/rollout/labels/tested")

        assert response.status_code == status
        assert message in response.json()["error"]
        assert (removed.status_code, removed.json()["error"]) == (404, "no version has the label 'tested'")
