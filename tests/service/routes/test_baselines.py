"""Baselines over HTTP: begun, followed, forgotten."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.service.routes.observing import TINY, get, infer, serving, until
from tests.watching import usual_rows, watched_bundle

BASELINE = f"{TINY}/baseline"


def test_a_baseline_is_learnt_from_the_traffic_and_forgotten(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())
    with serving(repository) as client:
        assert get(client, BASELINE)["state"] == "none"
        begun = client.post(BASELINE, json={"rows": 470})
        assert begun.status_code == 202
        assert (begun.json()["windows"], begun.json()["window_rows"], begun.json()["state"]) == (30, 16, "learning")
        until(client, usual_rows(16), lambda: get(client, BASELINE)["state"] == "complete")
        found = get(client, f"{TINY}/versions/1/baseline")
        assert found["learned"] == 30
        assert found["factor"] >= 1
        assert 4 <= found["independent_windows"] <= 30
        assert found["block_windows"] >= 1
        assert found["smallest_rate"] == pytest.approx(1 / (found["independent_windows"] + 1))
        assert found["windows_needed"] > 30  # at a false-alarm rate of 0.01
        assert found["significant_before"] in (0, 1)  # the same rows all the time
        report = get(client, f"{TINY}/drift")
        assert report["baseline"] == {name: found[name] for name in report["baseline"]}
    with serving(repository) as again:
        assert get(again, BASELINE) == found
        infer(again, usual_rows(4))
        assert again.delete(BASELINE).json()["state"] == "none"
        assert get(again, f"{TINY}/drift")["baseline"]["state"] == "none"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"windows": 29}, "windows"),
        ({"rows": 464}, "29 windows of 16, expected 30 to 1000 windows, so 480 to 16000 rows"),
        ({"rows": 1600, "windows": 100}, "one of both"),
        ({"hours": 1}, "hours"),
    ],
)
def test_what_is_no_length_is_refused(moved: TestClient, body: dict[str, int], message: str) -> None:
    answer = moved.post(BASELINE, json=body)

    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert get(moved, BASELINE)["state"] == "none"


def test_traffic_with_an_open_alarm_is_no_baseline_unless_forced(moved: TestClient) -> None:
    refused = moved.post(BASELINE, json={})

    assert refused.status_code == 400
    assert "an alarm is open since" in refused.json()["error"]
    assert get(moved, BASELINE)["state"] == "none"
    assert moved.post(BASELINE, json={"force": True}).json()["state"] == "learning"
    assert moved.delete(BASELINE).json()["state"] == "none"


def test_a_version_without_held_out_rows_has_nothing_to_learn(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle(calibrated=False))
    with serving(repository) as client:
        answer = client.post(BASELINE, json={})

    assert answer.status_code == 400
    assert "no held-out rows" in answer.json()["error"]


def test_a_rate_by_days_takes_a_longer_baseline(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())
    with serving(repository, days_between_false_alarms=7) as client:
        assert client.post(BASELINE, json={}).json()["windows"] == 500
