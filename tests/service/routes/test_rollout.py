"""Rollouts over HTTP: canary, shadow, promotion and rollback, and that a restart changes none of it."""

import fcntl
import os
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.repository import folder_lock
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.rollouts import promote
from tests.service.conftest import started

ROLLOUT = "/v2/models/tiny/rollout"


def answered_by(client: TestClient, path: str = "/v2/models/tiny/infer") -> str:
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}
    answer = client.post(path, json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model_version"])


def state(client: TestClient) -> dict[str, Any]:
    answer = client.get(ROLLOUT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


class TestCanary:
    @pytest.mark.parametrize(
        "path", ["/v2/models/tiny/infer", "/v1/models/tiny:predict", "/v2/models/shapes/predict"], ids=str
    )
    def test_every_protocol_sends_it_requests(self, repository: Repository, path: str) -> None:
        model = "shapes" if "shapes" in path else "tiny"
        bundle = repository.read(model, 1)
        repository.publish(bundle, candidate=True)
        with started(repository) as client:
            before = client.get("/metrics").text
            client.put(f"/v2/models/{model}/rollout/canary", json={"version": 2, "share": 1})
            bodies = {
                "/v2/models/tiny/infer": {"json": {"inputs": [INPUT]}},
                "/v1/models/tiny:predict": {"json": {"instances": [[0, 0, 0, 0]]}},
                "/v2/models/shapes/predict": {"content": client.get("/docs/seven.png").content},
            }
            assert client.post(path, **bodies[path]).status_code == 200
            after = client.get("/metrics").text

        counted = f'denge_inference_rows_total{{model="{model}",version="2"}} 1.0'
        assert counted not in before
        assert counted in after

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"version": 1, "share": 0.5}, "version: 1 is the default version already"),
            ({"version": 2, "share": 0}, "share"),
            ({"version": 2, "share": 1.5}, "share"),
            ({"version": 2}, "share"),
            ({"version": 0, "share": 0.5}, "version"),
            ({"version": True, "share": 0.5}, "version"),
            ({"version": "2", "share": 0.5}, "version"),
            ({"version": 2, "share": True}, "share"),
            ({"version": 2, "share": 0.5, "x": 1}, "x"),
            ("", "body"),
        ],
    )
    def test_a_bad_request_is_refused_with_its_field(self, three: Repository, body: object, words: str) -> None:
        with started(three) as client:
            refused = client.put(f"{ROLLOUT}/canary", json=body)

            assert refused.status_code == 400
            assert words in refused.json()["error"]
            assert client.put(f"{ROLLOUT}/canary", json={"version": 9, "share": 0.5}).status_code == 404
            assert client.put(f"{ROLLOUT}/canary", content=b"x" * 100_000).status_code == 413
            assert state(client)["canary"] is None


INPUT = {"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}


class TestDefault:
    def test_a_new_version_is_served_but_not_by_default_where_one_is_pinned(self, three: Repository) -> None:
        with started(three) as client:
            three.publish(tiny_bundle(seed=4))
            client.post("/v2/repository/models/tiny/load")

            assert answered_by(client) == "1"
            assert answered_by(client, "/v2/models/tiny/versions/4/infer") == "4"

    def test_a_candidate_is_never_the_default_until_it_is_promoted(self, repository: Repository) -> None:
        repository.publish(tiny_bundle(seed=1), candidate=True)
        with started(repository) as client:
            assert answered_by(client) == "1"
            assert client.post(f"{ROLLOUT}/promote", json={"version": 2}).json()["default"] == "2"
            assert answered_by(client) == "2"

    def test_the_canary_is_promoted_and_rolled_back(self, three: Repository) -> None:
        with started(three) as client:
            client.put(f"{ROLLOUT}/canary", json={"version": 2, "share": 0.5})
            client.put(f"{ROLLOUT}/shadow", json={"version": 3})
            promoted = client.post(f"{ROLLOUT}/promote").json()
            assert (promoted["default"], promoted["previous"], promoted["canary"]) == ("2", ["1"], None)
            assert promoted["shadow"] == "3"
            assert answered_by(client) == "2"

            back = client.post(f"{ROLLOUT}/rollback").json()
            assert (back["default"], back["previous"]) == ("1", [])
            assert answered_by(client) == "1"
            assert client.post(f"{ROLLOUT}/rollback").status_code == 400

    def test_without_a_canary_the_shadow_is_promoted_and_without_either_nothing(self, three: Repository) -> None:
        with started(three) as client:
            refused = client.post(f"{ROLLOUT}/promote")
            assert refused.status_code == 400
            assert "no canary or shadow" in refused.json()["error"]
            client.put(f"{ROLLOUT}/shadow", json={"version": 3})
            assert client.post(f"{ROLLOUT}/promote").json()["default"] == "3"
            assert state(client)["shadow"] is None

    def test_what_does_not_load_is_not_promoted(self, three: Repository) -> None:
        (three.root / "tiny" / "2" / "folded.onnx").write_bytes(b"broken")
        with started(three) as client:
            before = three.rollout("tiny")
            for answer in (
                client.post(f"{ROLLOUT}/promote", json={"version": 2}),
                client.put(f"{ROLLOUT}/canary", json={"version": 2, "share": 1}),
                client.put(f"{ROLLOUT}/shadow", json={"version": 2}),
            ):
                assert answer.status_code == 503
                assert "does not match its digest" in answer.json()["error"]
            assert three.rollout("tiny") == before
            assert answered_by(client) == "1"

    def test_a_damaged_default_is_not_replaced_by_a_version_that_nobody_chose(self, three: Repository) -> None:
        (three.root / "tiny" / "1" / "folded.onnx").write_bytes(b"broken")
        with started(three) as client:
            assert client.post("/v2/models/tiny/infer", json={"inputs": [INPUT]}).status_code == 503
            assert client.get("/v2/health/ready").status_code == 503

    def test_where_the_repository_cannot_be_written_nothing_changes(
        self, three: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(30, "Read-only file system")

        with started(three) as client:
            monkeypatch.setattr(os, "fsync", full)
            refused = client.post(f"{ROLLOUT}/promote", json={"version": 2})

            assert refused.status_code == 503
            assert refused.json()["error"] == "the repository cannot be written: Read-only file system"
            assert answered_by(client) == "1"

    def test_a_refused_change_of_an_unloaded_model_changes_nothing(self, three: Repository) -> None:
        with started(three) as client:
            client.post("/v2/repository/models/tiny/unload")
            assert client.put(f"{ROLLOUT}/canary", json={"version": 1, "share": 0.5}).status_code == 400
            assert client.put(f"{ROLLOUT}/shadow", json={"version": 1}).status_code == 400
            assert client.post(f"{ROLLOUT}/promote", json={"version": 9}).status_code == 404

            assert client.get("/v2/health/ready").status_code == 200
            assert client.get("/v2/models").json()["models"] == ["shapes"]
            assert three.rollout("tiny").canary is None

    def test_a_lock_that_another_process_holds_is_named(
        self, three: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(folder_lock, "monotonic", iter(range(0, 10**6, 100)).__next__)
        with started(three) as client:
            descriptor = os.open(three.root / "tiny", os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                refused = client.post(f"{ROLLOUT}/promote", json={"version": 2})
            finally:
                os.close(descriptor)

            assert refused.status_code == 503
            assert refused.json()["error"] == "'tiny' has been locked by another process for 5 s"
            assert refused.headers["retry-after"] == "5"
            assert client.post(f"{ROLLOUT}/promote", json={"version": 2}).status_code == 200

    def test_a_damaged_default_is_replaced_by_the_one_before(self, three: Repository) -> None:
        promote(three, "tiny", 3)
        promote(three, "tiny", 2)
        (three.root / "tiny" / "2" / "folded.onnx").write_bytes(b"broken")
        with started(three) as client:
            assert answered_by(client) == "3"

    def test_a_model_with_a_damaged_rollout_does_not_answer(self, three: Repository) -> None:
        (three.root / "tiny" / "rollout.json").write_text("{")
        with started(three) as client:
            assert client.get("/v2/models/tiny/ready").status_code == 503
            assert client.get("/v2/health/ready").status_code == 503
            assert client.get("/v2/models/shapes/ready").status_code == 200
            assert "is not a rollout" in client.get(ROLLOUT).json()["error"]


def test_a_rollout_survives_a_restart(three: Repository) -> None:
    with started(three) as client:
        client.put(f"{ROLLOUT}/canary", json={"version": 3, "share": 0.25})
        client.put(f"{ROLLOUT}/shadow", json={"version": 2})
        before = state(client)
    with started(three) as client:
        after = state(client)

    assert before == after
    assert after["canary"] == {"version": 3, "share": 0.25}
    assert {version["version"]: version["roles"] for version in after["versions"]} == {
        "1": ["default"],
        "2": ["shadow"],
        "3": ["canary"],
    }


def test_versions_are_shown_side_by_side(three: Repository) -> None:
    with started(three) as client:
        for version in (1, 2, 2):
            answered_by(client, f"/v2/models/tiny/versions/{version}/infer")
        broken = {"inputs": [{**INPUT, "shape": [3, 4]}]}
        assert client.post("/v2/models/tiny/versions/2/infer", json=broken).status_code == 400
        first, second, third = state(client)["versions"]

    assert [version["requests"] for version in (first, second, third)] == [1, 2, 0]
    assert second["rows"] == 2
    assert 0 < second["request_ms"]["p50"] <= second["request_ms"]["p99"]
    assert third["request_ms"] == {"p50": None, "p99": None}
    assert second["lineage"]["origin"] == "trained"


def test_a_shadow_is_compared_with_the_default_version(three: Repository) -> None:
    with started(three) as client:
        client.put(f"{ROLLOUT}/shadow", json={"version": 2})
        shown = state(client)
        for _ in range(1000):
            assert answered_by(client) == "1"
            shown = state(client)
            if (shown["versions"][1]["compared"] or {"rows": 0})["rows"]:
                break

    compared = shown["versions"][1]["compared"]
    assert compared is not None, "nothing was compared in 1000 requests"
    assert compared["rows"] > 0, "nothing was compared in 1000 requests"
    assert compared["agreement"] in (0.0, 1.0)  # one row, again and again
    assert compared["largest_difference"] > 0
    assert compared["errors"] == 0
    assert [version["compared"] for version in shown["versions"]][::2] == [None, None]


def test_a_body_is_json_whatever_its_header_says(client: TestClient) -> None:
    """As `curl -X PUT -d` sends it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    response = client.put("/v2/models/tiny/rollout/canary", content=b'{"version": 9, "share": 0.1}', headers=headers)

    assert response.status_code == 404, response.text
