"""A service whose traffic is observed."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.bundles import INPUT

TINY = "/v2/models/tiny"
WINDOWS = ("1m", "1h", "1d", "30d", "start")

_TIMEOUT_SECONDS = 60

_SETTLED_READS = 20
"""Each takes a few milliseconds, and rows wait for 50 at most."""


def serving(repository: Repository, **changes: Any) -> TestClient:
    settings = Settings(repository=repository.root, watch_percent=100, drift_window_rows=16, **changes)
    return TestClient(create_app(settings), "http://127.0.0.1:8000", raise_server_exceptions=False)


def infer(client: TestClient, rows: np.ndarray, model: str = "tiny", **parameters: object) -> dict[str, Any]:
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor], "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(client: TestClient, rows: np.ndarray, holds: Callable[[], bool], model: str = "tiny") -> None:
    """Predict until something holds: some of the predictions are observed."""
    deadline = monotonic() + _TIMEOUT_SECONDS
    while not holds():
        assert monotonic() < deadline, f"what was awaited did not come within {_TIMEOUT_SECONDS} seconds of predictions"
        infer(client, rows, model)


def observed_rows(client: TestClient, window: str) -> int:
    """How many rows of `tiny` have been observed in a window of time."""
    return int(get(client, f"{TINY}/live?window={window}")["rows"])


def settle(client: TestClient) -> None:
    """Return when no row waits to be observed any more: their number has stayed what it was for a while."""
    rows, same = observed_rows(client, "start"), 0
    while same < _SETTLED_READS:
        before, rows = rows, observed_rows(client, "start")
        same = same + 1 if rows == before else 0


def get_both(client: TestClient, path: str, other: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two answers about the same rows: none has left their window in between."""
    before = get(client, path)
    while True:
        found = get(client, other)
        after = get(client, path)
        if before == after:
            return after, found
        before = after


def get(client: TestClient, path: str) -> dict[str, Any]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
