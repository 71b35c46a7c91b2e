"""`auto` mode over HTTP: switched on with limits, paused by an operator, switched off, and kept over a restart."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.service.conftest import started
from tests.watching import watched_bundle

AUTO = "/v2/models/tiny/auto"


@pytest.fixture
def watched(tmp_path: Path) -> Repository:
    """Two versions of `tiny`, which can be watched."""
    repository = Repository(tmp_path / "watched")
    repository.publish(watched_bundle())
    repository.publish(watched_bundle(), candidate=True)
    return repository


def test_it_is_off_by_default_and_switched_on_with_limits(watched: Repository) -> None:
    with started(watched) as client:
        assert client.get(AUTO).json() == {
            **dict.fromkeys(("phase", "since", "base", "default", "candidate", "job", "next_attempt", "limits")),
            "model_name": "tiny",
            "on": False,
            "log": [],
        }
        answer = client.put(AUTO, json={"canary_share": 0.05})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["on"], found["phase"], found["base"], found["default"]) == (True, "watching", "1", "1")
        assert (found["limits"]["canary_share"], found["limits"]["rows"]) == (0.05, 256)
        assert [step["step"] for step in found["log"]] == ["started"]
        assert client.get("/v2/models/tiny/rollout").json()["pinned"]
    with started(watched) as client:
        assert client.get(AUTO).json() == found
        assert client.delete(AUTO).json()["on"] is False
        assert client.get(AUTO).json()["on"] is False


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"canary_share": 0.9}, "canary_share"),
        ({"rows": 63}, "rows"),
        ({"versions_per_day": 0}, "versions_per_day"),
        ({"canary_shares": 0.1}, "canary_shares"),
        ({"rows": "256"}, "rows"),
    ],
)
def test_limits_are_validated(watched: Repository, body: dict[str, object], words: str) -> None:
    with started(watched) as client:
        answer = client.put(AUTO, json=body)

        assert answer.status_code == 400
        assert words in answer.json()["error"]
        assert client.get(AUTO).json()["on"] is False


def test_a_model_without_an_estimate_is_refused(own_client: TestClient) -> None:
    answer = own_client.put(AUTO, json={})

    assert answer.status_code == 400
    assert "it needs a model that classifies, with held-out rows" in answer.json()["error"]


def test_what_auto_mode_needs_is_not_unloaded(watched: Repository) -> None:
    with started(watched) as client:
        client.put(AUTO, json={})
        assert client.post("/v2/models/tiny/rollout/promote", json={"version": 2}).status_code == 200
        answer = client.post("/v2/repository/models/tiny/versions/1/unload")

        assert answer.status_code == 400
        assert "is needed by auto mode" in answer.json()["error"]
