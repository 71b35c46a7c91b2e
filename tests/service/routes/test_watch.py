"""What is observed of the traffic, as callers see it."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.inference import handler
from service.settings import Settings
from tests.bundles import INPUT, NORM, image_bundle
from tests.watching import usual_rows, watched_bundle

TINY, PATIENCE_SECONDS = "/v2/models/tiny", 60
WINDOWS = ("1m", "1h", "1d", "start")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Serves `tiny`, calibrated, `loose`, which is not, and `shapes`, which cannot be watched."""
    repository = Repository(tmp_path_factory.mktemp("watched") / "repository")
    for bundle in (watched_bundle(), watched_bundle("loose", calibrated=False), image_bundle()):
        repository.publish(bundle)
    with serving(repository) as client:
        yield client


def serving(repository: Repository) -> TestClient:
    settings = Settings(repository=repository.root, watch_percent=100, drift_window_rows=16)
    return TestClient(create_app(settings), "http://127.0.0.1:8000", raise_server_exceptions=False)


def infer(client: TestClient, rows: np.ndarray, model: str = "tiny", **parameters: object) -> dict[str, Any]:
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": [tensor], "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(client: TestClient, rows: np.ndarray, holds: Callable[[], bool], model: str = "tiny") -> None:
    """Ask until something holds: some of the answers are observed."""
    deadline = monotonic() + PATIENCE_SECONDS
    while not holds():
        assert monotonic() < deadline
        infer(client, rows, model)


def get(client: TestClient, path: str) -> dict[str, Any]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def moved(client: TestClient) -> TestClient:
    """After traffic that was usual at first, and then was not."""
    until(client, usual_rows(20), lambda: get(client, f"{TINY}/drift?window=last")["rows"] >= 16)
    assert not get(client, f"{TINY}/drift?window=last")["alarm"]
    until(client, usual_rows(20) + 3, lambda: get(client, f"{TINY}/drift?window=last")["alarm"])
    return client


def test_a_shift_is_an_alarm_with_its_reasons(moved: TestClient) -> None:
    found = get(moved, f"{TINY}/drift?window=last")

    assert found["verdict"] in {"covariate_shift", "label_shift_likely"}
    assert found["significant"]
    assert found["statistic"] > found["threshold"]
    assert found["false_alarms_per_day"] == pytest.approx(found["windows_per_day"] * 0.01)
    (layer,) = found["layers"]
    assert layer["name"] == NORM
    assert layer["symmetric_kl"] > found["large_symmetric_kl"] > 0
    sizes = [channel["symmetric_kl"] for channel in layer["worst_channels"]]
    assert sizes == sorted(sizes, reverse=True)
    assert found["classes"]["labels"] == ["no", "yes"]
    assert sum(found["classes"]["counts"]) == found["rows"]
    assert sum(found["classes"]["reference_shares"]) == pytest.approx(1)


@pytest.mark.parametrize("window", [*WINDOWS, "last"])
def test_one_answer_has_the_verdicts_on_all_loaded_versions(moved: TestClient, window: str) -> None:
    found = get(moved, f"/v2/drift?window={window}")

    assert found["window"] == window
    assert [(one["model"], one["version"]) for one in found["versions"]] == [
        ("loose", "1"),
        ("shapes", "1"),
        ("tiny", "1"),
    ]
    for one in found["versions"]:
        report = get(moved, f"/v2/models/{one['model']}/versions/{one['version']}/drift?window={window}")
        assert one == {**{name: report[name] for name in one if name != "is_default"}, "is_default": True}


def test_of_a_model_with_two_loaded_versions_one_is_the_default(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for _ in range(2):
        repository.publish(watched_bundle())
    with serving(repository) as client:
        assert [(one["version"], one["is_default"]) for one in get(client, "/v2/drift")["versions"]] == [
            ("1", False),
            ("2", True),
        ]
        client.post(f"{TINY}/rollout/promote", json={"version": 1}).raise_for_status()
        assert [(one["version"], one["is_default"]) for one in get(client, "/v2/drift")["versions"]] == [
            ("1", True),
            ("2", False),
        ]


@pytest.mark.parametrize("version", ["", "/versions/1"])
@pytest.mark.parametrize("window", WINDOWS)
def test_live_moments_have_errors_and_a_reference(moved: TestClient, version: str, window: str) -> None:
    layer = get(moved, f"{TINY}{version}/layers/{NORM}/live?window={window}")
    channels, reference = layer["channels"], layer["reference"]

    assert (layer["model"], layer["version"], layer["window"], layer["units"]) == ("tiny", "1", window, "z")
    assert layer["rows"] >= 16
    assert layer["since"].endswith("Z")
    assert all(len(channels[name]) == 3 for name in ("mean", "mean_error", "variance", "variance_error"))
    assert all(error > 0 for error in channels["mean_error"])
    assert reference["rows"] == 2000
    assert max(map(abs, np.subtract(channels["mean"], reference["mean"]))) > 3 * max(channels["mean_error"])
    deviation = np.sqrt(reference["variance"])
    assert channels["mean_shift"] == pytest.approx(np.subtract(channels["mean"], reference["mean"]) / deviation)
    ratio = np.divide(channels["variance"], reference["variance"])
    assert channels["log2_variance_ratio"] == pytest.approx(np.log2(np.maximum(ratio, 0.01)))
    worst = get(moved, f"{TINY}{version}/drift?window={window}")["layers"][0]["worst_channels"]
    assert [channels["symmetric_kl"][channel["channel"]] for channel in worst] == [
        channel["symmetric_kl"] for channel in worst
    ]


@pytest.mark.parametrize("window", WINDOWS)
def test_all_layers_at_a_glance(moved: TestClient, window: str) -> None:
    found = get(moved, f"{TINY}/live?window={window}")

    assert found["observed"]["rows"] >= 36
    assert found["observed"]["batches"] > 0
    assert found["observed"]["seconds"] > 0
    (layer,) = found["layers"]
    assert (layer["name"], layer["num_features"], layer["placement"]) == (NORM, 3, "folded_back")
    assert len(layer["worst_channels"]) == 3


def test_history_has_a_point_for_each_stretch_with_rows(moved: TestClient) -> None:
    points = get(moved, f"{TINY}/drift/history?window=1d")["points"]

    assert sum(point["rows"] for point in points) == get(moved, f"{TINY}/live?window=1d")["rows"]
    assert list(points[-1]["layers"]) == [NORM]


def test_prometheus_has_the_same_figures(moved: TestClient) -> None:
    families = text_string_to_metric_families(moved.get("/metrics").text)
    names = ("model", "version", "layer", "outcome")
    samples = {
        (sample.name, *map(sample.labels.get, names)): sample.value for family in families for sample in family.samples
    }
    found = get(moved, f"{TINY}/drift?window=last")
    (layer,) = found["layers"]

    def value(name: str, *labels: str | None) -> float:
        return samples[(name, *labels, *[None] * (4 - len(labels)))]

    assert value("denge_drift_alarm", "tiny", "1") == 1
    assert value("denge_drift_window_rows", "tiny", "1") == found["rows"]
    assert value("denge_drift_score", "tiny", "1", NORM) == layer["symmetric_kl"]
    assert value("denge_drift_significance", "tiny", "1", NORM) == layer["statistic"] / layer["threshold"]
    assert value("denge_observed_rows_total", "tiny", "1") == get(moved, f"{TINY}/live")["observed"]["rows"]
    assert value("denge_unobserved_batches_total", "tiny", "1") >= 0
    assert value("denge_webhook_messages_total", None, None, None, "delivered") == 0
    assert ("denge_drift_alarm", "shapes", "1", None, None) not in samples


def test_without_held_out_rows_there_are_sizes_and_no_verdict(client: TestClient) -> None:
    until(client, usual_rows(20), lambda: get(client, "/v2/models/loose/live")["rows"] >= 16, "loose")
    found = get(client, "/v2/models/loose/drift")

    assert (found["verdict"], found["alarm"], found["threshold"]) == ("uncalibrated", False, None)
    assert found["layers"][0]["wasserstein"] > 0
    assert found["classes"]["reference_shares"] is None
    layer = get(client, f"/v2/models/loose/layers/{NORM}/live")
    assert layer["reference"] is None
    assert layer["channels"]["mean_shift"] == layer["channels"]["mean"]


def test_what_has_not_been_seen_is_null(client: TestClient) -> None:
    assert get(client, "/v2/models/shapes/live")["rows"] == 0
    assert get(client, f"/v2/models/shapes/layers/{NORM}/live")["channels"] is None
    assert get(client, "/v2/models/shapes/drift?window=last")["verdict"] == "not_enough_rows"
    assert get(client, "/v2/models/shapes/drift/history")["points"] == []


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v2/models/tiny/live?window=2h", 400, "query.window"),
        ("/v2/drift?window=2h", 400, "query.window"),
        ("/v2/models/tiny/drift?window=x", 400, "query.window"),
        ("/v2/models/tiny/drift?false_alarm_rate=x", 400, "query.false_alarm_rate"),
        ("/v2/models/tiny/drift?false_alarm_rate=0.5", 400, "false_alarm_rate"),
        ("/v2/models/tiny/drift?false_alarm_rate=nan", 400, "query.false_alarm_rate"),
        ("/v2/models/tiny/drift/history?window=start", 400, "query.window"),
        ("/v2/models/tiny/layers/none/live", 404, "Model 'tiny' has no"),
        ("/v2/models/none/drift", 404, "Request for unknown model: 'none'"),
        ("/v2/models/tiny/versions/7/drift", 404, "Request for unknown"),
    ],
)
def test_errors_name_what_is_wrong(client: TestClient, path: str, status: int, field: str) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.json()["error"].startswith(field), answer.text


def test_a_request_may_ask_how_strange_its_rows_are(client: TestClient) -> None:
    rows = np.concatenate([usual_rows(3), usual_rows(1) + 20])
    outputs = {output["name"]: output for output in infer(client, rows, layer_statistics=True)["outputs"]}

    score, layer = outputs["drift_score"], outputs["drift_layer"]
    assert (score["datatype"], score["shape"]) == ("FP64", [4])
    assert max(score["data"][:3]) < score["data"][3]
    assert score["data"][3] > 1
    assert (layer["datatype"], layer["data"]) == ("BYTES", [NORM] * 4)
    plain = {output["name"]: output for output in infer(client, rows)["outputs"]}
    assert list(plain) == ["logits"]
    assert np.allclose(plain["logits"]["data"], outputs["logits"]["data"])


@pytest.mark.parametrize("model", ["loose", "shapes"])
def test_without_a_reference_rows_have_no_score(client: TestClient, model: str) -> None:
    rows = np.zeros((1, 1, 8, 8) if model == "shapes" else (1, 4), np.float32)
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    body = {"inputs": [tensor], "parameters": {"layer_statistics": True}}
    answer = client.post(f"/v2/models/{model}/infer", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("parameters.layer_statistics: ")


def test_not_everyone_can_wait_for_scores_at_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    infer(client, usual_rows(1), layer_statistics=True)
    monkeypatch.setattr(handler, "MAX_SCORING", 0)
    tensor = {"name": INPUT, "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0]}
    answer = client.post(f"{TINY}/infer", json={"inputs": [tensor], "parameters": {"layer_statistics": True}})

    assert answer.status_code == 503
    assert "layer statistics" in answer.json()["error"]
    infer(client, usual_rows(1))


def test_a_restart_goes_on_where_it_ended(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.publish(watched_bundle())
    with serving(repository) as first:
        until(first, usual_rows(20) + 3, lambda: get(first, f"{TINY}/drift?window=last")["alarm"])
        before = get(first, f"{TINY}/layers/{NORM}/live?window=start")
    with serving(repository) as second:
        after = get(second, f"{TINY}/layers/{NORM}/live?window=start")

        assert get(second, f"{TINY}/drift?window=last")["alarm"]
    assert after["rows"] >= before["rows"]
    assert after["since"] == before["since"]
    assert not math.isclose(after["channels"]["mean"][0], 0, abs_tol=0.1)
