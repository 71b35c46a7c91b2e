"""`auto` mode of a starter model, with everything that it needs: a shift is mended, and its end is noticed."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models import starter
from models.repository import held_out
from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.service.routes.observing import get, infer

AUTO, ROLLOUT = "/v2/models/mlp/auto", "/v2/models/mlp/rollout"
LIMITS = {"min_minutes": 0.05, "rows": 128, "shadow_rows": 64, "canary_share": 0.5, "canary_rows": 64}
SECONDS = 300


@pytest.mark.slow
@pytest.mark.parametrize(("rollback_rows", "window", "by_rows"), [(32, 4096, True), (10_000_000, 64, False)])
def test_a_shift_is_mended_and_its_end_is_noticed(
    tmp_path: Path, rollback_rows: int, window: int, by_rows: bool
) -> None:
    """By the latest rows, long before a window is full; or by a window, where so many rows never come."""
    stored = Repository(Path(starter.__file__).parent).read("mlp", 1)
    assert stored.held_out is not None
    rows = held_out.unpack(stored.held_out, stored.manifest.inputs)["input"]
    bright = np.clip(rows + 0.3, 0, 1).astype(np.float32)
    settings = Settings(repository=tmp_path / "repository", watch_percent=100, drift_window_rows=window)
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
        assert client.put(AUTO, json={**LIMITS, "rollback_rows": rollback_rows}).status_code == 200

        mended = _until(client, bright, lambda state: state["default"] != "1")
        # A step is stored before it is applied to what is served.
        back = _until(client, rows, lambda state: state["default"] == get(client, ROLLOUT)["default"] == "1")

        taken = [step["step"] for step in back["log"]]
        assert taken[: len(mended["log"])][-4:] == ["collecting", "shadow", "canary", "promoted"]
        assert taken[-1] == "rolled_back"
        assert back["log"][-1]["reason"].startswith("its latest rows fit version 1 better") is by_rows
        assert 'denge_auto_steps_total{model="mlp",step="promoted"} 1.0' in client.get("/metrics").text


def _until(client: TestClient, rows: np.ndarray, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Predict until something holds of the state."""
    random = np.random.default_rng(0)
    ends = monotonic() + SECONDS
    while not holds(state := get(client, AUTO)):
        assert monotonic() < ends, f"auto mode did not come so far: {state}"
        for _ in range(8):
            infer(client, rows[random.choice(len(rows), 16)], "mlp")
    return state
