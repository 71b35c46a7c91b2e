"""All models at a glance."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.service.routes.observing import TINY, get, infer, serving, until
from tests.watching import usual_rows, watched_bundle


def summary(client: TestClient, name: str) -> dict[str, Any]:
    (found,) = (model for model in get(client, "/v2/overview")["models"] if model["name"] == name)
    return dict(found)


def test_it_has_the_alarms_counts_and_drift_of_every_model(moved: TestClient) -> None:
    found = get(moved, "/v2/overview")

    assert [model["name"] for model in found["models"]] == ["loose", "shapes", "tiny"]
    tiny = found["models"][-1]
    report = get(moved, f"{TINY}/drift?window=last")
    (version,) = tiny["loaded"]
    same = ("version", "alarm", "alarm_since", "verdict", "rows", "symmetric_kl", "estimated_accuracy")
    assert {name: version[name] for name in same} == {name: report[name] for name in same}
    assert version["alarm"]
    (counted,) = (one for one in get(moved, "/v2/models/stats")["model_stats"] if one["name"] == "tiny")
    assert tiny["requests"] == counted["inference_stats"]["success"]["count"] > 0
    assert tiny["errors"] == 0
    assert tiny["p99_ms"] > 0
    observed = [size for size in version["drift"] if size is not None]
    points = get(moved, f"{TINY}/drift/history")["points"]
    assert len(version["drift"]) == 60
    assert observed == [round(point["symmetric_kl"], 4) for point in points if point["rows"] >= 16]
    assert max(observed) > report["large_symmetric_kl"]


def test_it_has_the_health_of_the_service(moved: TestClient) -> None:
    health = get(moved, "/v2/overview")["health"]

    assert health["memory_bytes"] > 10 << 20
    assert health["cpu_seconds"] > 0
    assert health["cores"] >= 1
    assert health["pending"] == 0
    assert health["providers"] == ["CPUExecutionProvider"]


def test_it_has_the_versions_that_are_not_loaded_and_the_roles_of_those_that_are(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for seed in range(3):
        repository.publish(tiny_bundle(seed=seed))
    (repository.root / "broken" / "1").mkdir(parents=True)
    with serving(repository, loaded_versions=2) as client:
        client.put(f"{TINY}/rollout/canary", json={"version": 2, "share": 0.25}).raise_for_status()
        tiny, broken = summary(client, "tiny"), summary(client, "broken")

        assert tiny["index"] == [
            {"version": "1", "state": "UNAVAILABLE", "reason": "not loaded"},
            {"version": "2", "state": "READY", "reason": ""},
            {"version": "3", "state": "READY", "reason": ""},
        ]
        roles = [(one["version"], one["is_default"], one["canary_share"]) for one in tiny["loaded"]]
        assert roles == [("2", False, 0.25), ("3", True, None)]
        assert tiny["p99_ms"] is None
        assert broken["loaded"] == []
        assert broken["index"][0]["reason"]
        client.delete(f"{TINY}/rollout/canary").raise_for_status()
        client.put(f"{TINY}/rollout/shadow", json={"version": 2}).raise_for_status()
        shadows = [(one["version"], one["is_shadow"]) for one in summary(client, "tiny")["loaded"]]
        assert shadows == [("2", True), ("3", False)]


def test_an_alarm_has_the_time_it_began_with_until_it_ends(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())
    usual = usual_rows(16)
    with serving(repository) as client:

        def report() -> dict[str, object]:
            return get(client, f"{TINY}/drift?window=last")

        assert report()["alarm_since"] is report()["judged_at"] is None
        infer(client, usual[:4])
        until(client, usual[:4], lambda: bool(report()["unjudged_rows"]))
        until(client, usual + np.float32(9), lambda: bool(report()["alarm"]))
        found = report()
        began = found["alarm_since"]
        assert str(began) <= str(found["judged_at"])  # later where one more window was full before this request
        until(client, usual + np.float32(9), lambda: report()["judged_at"] != began)
        assert report()["alarm_since"] == began
        assert datetime.fromisoformat(str(began)) < datetime.fromisoformat(str(report()["judged_at"]))
    with serving(repository) as again:  # after a restart
        assert get(again, f"{TINY}/drift?window=last")["alarm_since"] == began
        until(again, usual, lambda: not get(again, f"{TINY}/drift?window=last")["alarm"])
        found = get(again, f"{TINY}/drift?window=last")
        assert found["alarm_since"] is None
        assert found["last_alarm"]["began"] == began
        assert found["last_alarm"]["ended"] <= found["judged_at"]
