"""The model repository: index, load, unload, prune."""

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.service.conftest import started


def states(own_client: TestClient, **body: object) -> dict[tuple[str, str], str]:
    answer = own_client.post("/v2/repository/index", json=body).json()
    return {(entry["name"], entry["version"]): entry["state"] for entry in answer}


def test_the_index_lists_every_version(own_client: TestClient, repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=1))

    assert states(own_client) == {
        ("shapes", "1"): "READY",
        ("tiny", "1"): "READY",
        ("tiny", "2"): "UNAVAILABLE",
    }
    assert states(own_client, ready=True) == {("shapes", "1"): "READY", ("tiny", "1"): "READY"}


@pytest.mark.parametrize(("body", "field"), [({"ready": 1}, "ready"), ([], "body")])
def test_a_bad_index_request_is_refused(own_client: TestClient, body: object, field: str) -> None:
    response = own_client.post("/v2/repository/index", json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{field}: ")


def test_a_new_version_is_served_once_it_is_loaded(own_client: TestClient, repository: Repository) -> None:
    repository.publish(tiny_bundle(seed=1))
    assert own_client.get("/v2/models/tiny").json()["properties"]["version"] == "1"

    assert own_client.post("/v2/repository/models/tiny/load").json() == {"name": "tiny", "versions": ["1", "2"]}
    assert own_client.get("/v2/models/tiny").json()["properties"]["version"] == "2"


def test_an_unloaded_model_does_not_answer_until_it_is_loaded_again(own_client: TestClient) -> None:
    assert own_client.post("/v2/repository/models/tiny/unload").status_code == 200
    assert own_client.post(
        "/v2/repository/models/tiny/unload", json={"parameters": {"unload_dependents": False}}
    ).is_success
    assert own_client.get("/v2/models/tiny/ready").status_code == 503
    assert own_client.get("/v2/health/ready").status_code == 200
    assert states(own_client)["tiny", "1"] == "UNAVAILABLE"
    assert own_client.post("/v2/repository/models/tiny/load").status_code == 200
    assert own_client.get("/v2/models/tiny/ready").json() == {"name": "tiny", "ready": True}


@pytest.mark.parametrize("verb", ["load", "unload"])
@pytest.mark.parametrize("name", ["nobody", "..", "a%2Fb", ".", "%00"])
def test_only_names_of_models_are_loaded(own_client: TestClient, verb: str, name: str) -> None:
    assert own_client.post(f"/v2/repository/models/{name}/{verb}").status_code == 404


def test_no_configuration_or_file_is_taken(own_client: TestClient) -> None:
    body = {"parameters": {"config": "{}", "file:1/model.onnx": "AAAA"}}
    response = own_client.post("/v2/repository/models/tiny/load", json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith("parameters: ")


def test_a_damaged_version_never_replaces_a_good_one(own_client: TestClient, repository: Repository) -> None:
    version = repository.publish(tiny_bundle(seed=1))
    (repository.root / "tiny" / str(version) / "folded.onnx").write_bytes(b"broken")

    refused = own_client.post("/v2/repository/models/tiny/load")
    assert refused.status_code == 503
    assert "version 2: 2/folded.onnx does not match its digest" in refused.json()["error"]
    assert own_client.get("/v2/models/tiny").json()["properties"]["version"] == "1"
    assert own_client.get("/v2/health/ready").status_code == 200
    assert own_client.get("/v2/models/tiny/versions/2").status_code == 503
    index = own_client.post("/v2/repository/index").json()
    assert "does not match its digest" in next(entry["reason"] for entry in index if entry["version"] == "2")


def test_versions_that_were_loaded_or_unloaded_by_name_stay_so_after_a_restart(three: Repository) -> None:
    three.publish(tiny_bundle(seed=4))
    three.publish(tiny_bundle(seed=5))
    with started(three) as client:
        assert client.post("/v2/repository/models/tiny/versions/2/load").json()["versions"] == ["1", "2", "4", "5"]
        assert client.post("/v2/repository/models/tiny/versions/5/unload").json()["versions"] == ["1", "2", "4"]
        assert client.post("/v2/repository/models/tiny/load").json()["versions"] == ["1", "2", "4"]
        assert client.post("/v2/repository/models/tiny/versions/1/unload").status_code == 400
        assert client.post("/v2/repository/models/tiny/versions/9/unload").status_code == 404
        assert client.get("/v2/models/tiny/versions/5/ready").status_code == 503
    with started(three) as client:
        assert client.get("/v2/models/tiny").json()["versions"] == ["1", "2", "4"]


def test_old_versions_are_pruned_and_those_in_use_stay(three: Repository) -> None:
    for seed in (4, 5, 6):
        three.publish(tiny_bundle(seed=seed))
    with started(three) as client:
        client.put("/v2/models/tiny/rollout/shadow", json={"version": 3})
        answer = client.post("/v2/repository/models/tiny/prune", json={"keep": 1})

        assert answer.json() == {"name": "tiny", "deleted": ["2", "4", "5"]}
        left = client.get("/v2/models/tiny/rollout").json()["versions"]
        assert [version["version"] for version in left] == ["1", "3", "6"]
        assert client.post("/v2/repository/models/tiny/prune", json={"keep": 0}).status_code == 400


@pytest.mark.parametrize("keep", [True, 1.0, "1", None])
def test_what_is_no_integer_keeps_no_versions(own_client: TestClient, keep: object) -> None:
    assert own_client.post("/v2/repository/models/tiny/prune", json={"keep": keep}).status_code == 400


def test_what_cannot_be_used_is_in_the_index(own_client: TestClient, repository: Repository) -> None:
    (repository.root / "tiny" / "2").symlink_to("nowhere")
    (repository.root / "broken").symlink_to("nowhere")
    (repository.root / "empty" / "1").mkdir(parents=True)

    index = own_client.post("/v2/repository/index").json()
    reasons = {(entry["name"], entry["version"]): entry["reason"] for entry in index if entry["reason"]}
    assert reasons == {
        ("tiny", "2"): "it is a link to no folder",
        ("broken", ""): "it is a link to no folder",
        ("empty", "1"): "not loaded",
    }
    refused = own_client.post("/v2/repository/models/empty/load")
    assert refused.status_code == 503
    assert "1 is not a bundle: it has no SHA256SUMS" in refused.json()["error"]
    assert own_client.get("/v2/health/ready").status_code == 200
