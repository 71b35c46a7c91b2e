"""Labels that come after the predictions: the true accuracy, from whichever replica is told."""

from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import INPUT
from tests.service.routes.observing import TINY, get, serving
from tests.watching import usual_rows, watched_bundle

LABELS = f"{TINY}/labels"


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())
    with serving(repository, label_rows=40) as found:
        yield found


def predict(client: TestClient, rows: np.ndarray, identity: str, *, in_body: bool = False) -> list[int]:
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    body: dict[str, object] = {"inputs": [tensor]} | ({"id": identity} if in_body else {})
    answer = client.post(f"{TINY}/infer", json=body, headers={} if in_body else {"X-Request-ID": identity})
    (output,) = (one for one in answer.json()["outputs"] if one["datatype"] == "FP32")
    return [int(row) for row in np.reshape(output["data"], output["shape"]).argmax(axis=1)]


def send(client: TestClient, *labels: tuple[str, list[object]]) -> dict[str, object]:
    answer = client.post(LABELS, json={"labels": [{"id": name, "classes": classes} for name, classes in labels]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_labels_give_the_accuracy_in_the_report_the_history_and_the_metrics(client: TestClient) -> None:
    first = predict(client, usual_rows(8), "a")
    (second,) = predict(client, usual_rows(1, seed=3), "b", in_body=True)
    labels = ["no", "yes"]
    assert get(client, f"{TINY}/drift")["true_accuracy"] is None

    sent = send(
        client,
        ("a", [*(labels[found] for found in first[:5]), 1 - first[5], 1 - first[6], None]),
        ("b", [second]),
        ("c", [0]),
    )

    assert sent == {"rows": 8, "correct": 6, "unknown": ["c"], "repeated": [], "refused": {}, "unreached": []}
    for window in ("1m", "1h", "1d", "start"):
        found = get(client, f"{TINY}/drift?window={window}")["true_accuracy"]
        assert (found["value"], found["rows"], found["estimate_error"]) == (0.75, 8, None)
        assert 0 < found["low"] < 0.75 < found["high"] < 1
    points = [point["true_accuracy"] for point in get(client, f"{TINY}/drift/history")["points"]]
    assert sum(point["rows"] for point in points if point) == 8
    metrics = client.get("/metrics").text
    assert 'denge_labelled_rows_total{model="tiny",version="1"} 8.0' in metrics
    assert 'denge_correct_rows_total{model="tiny",version="1"} 6.0' in metrics


def test_labels_count_once_and_what_does_not_fit_is_refused(client: TestClient) -> None:
    (found,) = predict(client, usual_rows(1), "a")
    for name in "bcd":
        predict(client, usual_rows(1), name)

    sent = send(client, ("a", [found]), ("a", [found]), ("b", [0, 1]), ("c", ["maybe"]), ("d", [2]))
    again = send(client, ("a", [1 - found]), ("b", [found]))

    assert (sent["rows"], sent["repeated"], list(sent["refused"])) == (1, ["a"], ["b", "c", "d"])
    assert sent["refused"]["b"] == "classes: got 2, the request had 1 rows"
    assert sent["refused"]["c"] == "classes[0]: got 'maybe', expected a label of the version"
    assert sent["refused"]["d"] == "classes[0]: got 2, expected a class from 0 to 1"
    assert (again["rows"], again["correct"], again["repeated"]) == (1, 1, ["a"])


def test_requests_beyond_the_memory_are_unknown(client: TestClient) -> None:
    (found,) = predict(client, usual_rows(1), "old")
    predict(client, usual_rows(40), "new")

    assert send(client, ("old", [found]))["unknown"] == ["old"]


def test_labels_of_a_version_that_is_not_loaded_any_more_are_unknown(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    with serving(repository, label_rows=40) as client:
        for name in ("old", "new"):
            repository.publish(watched_bundle())
            client.post("/v2/repository/models/tiny/load")
            predict(client, usual_rows(1), name)
        assert client.post("/v2/repository/models/tiny/versions/1/unload").status_code == 200

        sent = send(client, ("old", [0]), ("new", [0]))

    assert (sent["rows"], sent["unknown"]) == (1, ["old"])


def test_another_model_is_not_found_and_no_labels_are_refused(client: TestClient) -> None:
    assert client.post("/v2/models/other/labels", json={"labels": [{"id": "a", "classes": [0]}]}).status_code == 404
    for body in ({"labels": []}, {"labels": [{"id": "a", "classes": []}]}, {"labels": [{"id": "a", "classes": [1.5]}]}):
        assert client.post(LABELS, json=body).status_code == 400
