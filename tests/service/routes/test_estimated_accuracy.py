"""The estimated accuracy of a starter model's traffic, over HTTP: its twin is made while it serves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models import starter
from models.repository import held_out
from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.service.routes.observing import get, infer, until

REPOSITORY = Path(starter.__file__).parent
PATH = "/v2/models/mlp/drift"
MOST = 400
"""Requests until the alarm: 16 fill a window twice where all rows are observed."""


def estimate(client: TestClient, window: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = get(client, f"{PATH}?window={window}")["estimated_accuracy"]
    return found


@pytest.mark.slow
def test_an_alarm_says_what_the_shift_costs(tmp_path: Path) -> None:
    bundle = Repository(REPOSITORY).read("mlp", 1)
    assert bundle.held_out is not None
    rows = held_out.unpack(bundle.held_out, bundle.manifest.inputs)["input"]
    noisy = (rows + 0.6 * np.random.default_rng(0).standard_normal(rows.shape)).astype(np.float32)
    settings = Settings(repository=REPOSITORY, state_dir=tmp_path, watch_percent=100)
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
        parts = np.array_split(rows, 8)
        until(client, parts[0], lambda: estimate(client, "start") is not None, "mlp")
        for number in range(MOST):
            infer(client, parts[number % 8], "mlp")
            # The same rows again and again, before there was an estimate, may have opened an alarm.
            if number >= 2 * 8 and not get(client, PATH)["alarm"]:
                break
        assert not get(client, PATH)["alarm"]

        parts = np.array_split(noisy, 8)
        for number in range(MOST):
            infer(client, parts[number % 8], "mlp")
            if get(client, PATH)["alarm"] and (estimate(client, "last") or {"value": 1.0})["value"] < 0.8:
                break

        report = get(client, f"{PATH}?window=last")
        found = report["estimated_accuracy"]
        assert found["low"] <= found["value"] <= found["high"]
        assert found["usual"] == pytest.approx(0.98, abs=0.005)
        assert "Estimated accuracy fell from 98.0 % to" in report["message"]
        history = get(client, f"{PATH}/history")["points"]
        assert any(point["estimated_accuracy"] is not None for point in history)
        assert 'denge_estimated_accuracy{model="mlp",version="1"}' in client.get("/metrics").text
