"""Drift, its history and its metrics, as clients see them."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import NORM
from tests.service.routes.observing import TINY, WINDOWS, get, get_both, serving, until
from tests.watching import usual_rows, watched_bundle


def test_a_shift_is_an_alarm_with_its_reasons(moved: TestClient) -> None:
    found = get(moved, f"{TINY}/drift?window=last")

    effort = get(moved, f"{TINY}/live")["observed"]
    assert found["observed_share"] == effort["batches"] / (effort["batches"] + effort["dropped_batches"]) > 0
    assert found["verdict"] in {"covariate_shift", "label_shift_likely"}
    assert found["significant"]
    assert found["statistic"] > found["threshold"]
    assert found["false_alarms_per_day"] == pytest.approx(found["windows_per_day"] * 0.01)
    course = found["last_alarm"]
    assert (course["began"], course["ended"], course["first_layer"]) == (found["alarm_since"], None, NORM)
    assert course["peak"]["significance"] > 1
    assert course["windows"] >= 1
    (kept,) = get(moved, f"{TINY}/drift/history?window=1h")["alarms"]  # with another window, perhaps
    assert (kept["began"], kept["ended"]) == (course["began"], None)
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
    names = ["loose", "shapes", "tiny"]
    for place, name in enumerate(names):
        found, report = get_both(moved, f"/v2/drift?window={window}", f"/v2/models/{name}/drift?window={window}")

        assert found["window"] == window
        assert [(one["model"], one["version"]) for one in found["versions"]] == [(name, "1") for name in names]
        one = found["versions"][place]
        assert one == {**{name: report[name] for name in one if name != "is_default"}, "is_default": True}


def test_of_a_model_with_two_loaded_versions_one_is_the_default(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for _ in range(2):
        repository.publish(watched_bundle())
    with serving(repository) as observed:
        assert [(one["version"], one["is_default"]) for one in get(observed, "/v2/drift")["versions"]] == [
            ("1", False),
            ("2", True),
        ]
        observed.post(f"{TINY}/rollout/promote", json={"version": 1}).raise_for_status()
        assert [(one["version"], one["is_default"]) for one in get(observed, "/v2/drift")["versions"]] == [
            ("1", True),
            ("2", False),
        ]


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


def test_without_held_out_rows_there_are_sizes_and_no_verdict(observed: TestClient) -> None:
    until(observed, usual_rows(20), lambda: get(observed, "/v2/models/loose/live")["rows"] >= 16, "loose")
    found = get(observed, "/v2/models/loose/drift")

    assert (found["verdict"], found["alarm"], found["threshold"]) == ("uncalibrated", False, None)
    assert found["layers"][0]["wasserstein"] > 0
    assert found["classes"]["reference_shares"] is None
    layer = get(observed, f"/v2/models/loose/layers/{NORM}/live")
    assert layer["reference"] is None
    assert layer["channels"]["mean_shift"] == layer["channels"]["mean"]


def test_what_has_not_been_seen_is_null(observed: TestClient) -> None:
    assert get(observed, "/v2/models/shapes/live")["rows"] == 0
    assert get(observed, f"/v2/models/shapes/layers/{NORM}/live")["channels"] is None
    assert get(observed, "/v2/models/shapes/drift?window=last")["verdict"] == "not_enough_rows"
    assert get(observed, "/v2/models/shapes/drift/history")["points"] == []


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
def test_errors_name_what_is_wrong(observed: TestClient, path: str, status: int, field: str) -> None:
    answer = observed.get(path)

    assert answer.status_code == status
    assert answer.json()["error"].startswith(field), answer.text
