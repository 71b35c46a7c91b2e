"""Quantisations over HTTP; the 8-bit version is watched as its parent was."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.models.quantization.network import bundle, images
from tests.recalibrating import tensor
from tests.service.routes.observing import get, serving

URL = "/v2/models/residual/quantizations"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    repository = Repository(tmp_path_factory.mktemp("quantization") / "repository")
    repository.publish(bundle())
    with serving(repository) as client:
        yield client


def finished(client: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(URL, json=body)
    assert answer.status_code == 202, answer.text
    return get(client, f"{URL}/{answer.json()['id']}?wait=60")


def test_the_published_version_is_watched_and_judged(client: TestClient) -> None:
    # Whether so small a network is faster is a matter of the machine.
    done = finished(client, {"parameters": {"force": True, "tolerance": 5.0, "data_free": True}})

    assert (done["state"], done["published"], done["kind"]) == ("published", 2, "quantization"), done["reason"]
    assert (done["tolerance"], done["data_free"], done["rows"]) == (5.0, True, 0)
    assert [gate["name"] for gate in done["gates"]] == ["loss", "speed_1", "speed_32"]
    assert done["gates"][0]["passed"]
    assert get(client, URL)["quantizations"][0]["id"] == done["id"]
    assert get(client, "/v2/models/residual/recalibrations") == {"recalibrations": []}
    version = "/v2/models/residual/versions/2"
    lineage = get(client, f"{version}/card")["lineage"]
    assert (lineage["origin"], lineage["parent"]["version"]) == ("quantized", 1)
    assert lineage["quantization"]["ranges_from"] == "batch_norm"

    def infer(rows: np.ndarray, path: str) -> np.ndarray:
        answer = client.post(f"{path}/infer", json={"inputs": [tensor(rows, "x")]})
        assert answer.status_code == 200, answer.text
        (output,) = answer.json()["outputs"]
        return np.array(output["data"])

    rows = images(32, 11)["x"]
    scores, exact = infer(rows, version), infer(rows, "/v2/models/residual")
    assert 0 < np.abs(scores - exact).max() < 0.4 * exact.std()
    for _ in range(200):
        if get(client, f"{version}/drift?window=last")["alarm"]:
            break
        infer(rows + 2, version)
    assert get(client, f"{version}/drift?window=last")["alarm"]
    layer = first_layer(client, version)
    assert layer["rows"] >= 16
    assert max(map(abs, layer["channels"]["mean_shift"])) > 0.5


def first_layer(client: TestClient, version: str) -> dict[str, Any]:
    name = get(client, f"{version}/live?window=start")["layers"][0]["name"]
    return get(client, f"{version}/layers/{name}/live?window=start")


def test_one_that_is_refused_says_why(client: TestClient) -> None:
    labels = np.random.default_rng(0).integers(0, 5, 64)
    inputs = [tensor(images(64, 3)["x"], "x"), tensor(labels, "labels", "INT64")]

    done = finished(client, {"inputs": inputs, "parameters": {"tolerance": 0.0}})

    loss = done["gates"][0]
    assert (done["rows"], done["labelled"]) == (64, True)
    assert done["state"] in {"refused", "published"}
    assert (done["state"] == "refused") == any(not gate["passed"] for gate in done["gates"])
    assert done["state"] == "published" or "speed" in done["reason"] or f"loss {loss['figure']:.3g}" in done["reason"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"parameters": {"tolerance": -1.0}}, "parameters.tolerance"),
        ({"collect": 15}, "collect"),
        ({"rows": 3}, "rows: unknown field"),
        ({"parameters": {"prior": 8}}, "parameters.prior"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_the_field(
    client: TestClient, body: dict[str, Any], field: str
) -> None:
    answer = client.post(URL, json=body)

    assert answer.status_code == 400
    assert field in answer.json()["error"]
