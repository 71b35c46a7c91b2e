"""How unusual the rows of a request are, as a parameter of inference."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.inference import scoring
from tests.bundles import INPUT, NORM
from tests.service.routes.observing import TINY, infer
from tests.watching import usual_rows


def test_a_request_may_ask_how_strange_its_rows_are(observed: TestClient) -> None:
    rows = np.concatenate([usual_rows(3), usual_rows(1) + 20])
    outputs = {output["name"]: output for output in infer(observed, rows, layer_statistics=True)["outputs"]}

    score, layer = outputs["drift_score"], outputs["drift_layer"]
    assert (score["datatype"], score["shape"]) == ("FP64", [4])
    assert max(score["data"][:3]) < score["data"][3]
    assert score["data"][3] > 1
    assert (layer["datatype"], layer["data"]) == ("BYTES", [NORM] * 4)
    plain = {output["name"]: output for output in infer(observed, rows)["outputs"]}
    assert list(plain) == ["logits"]
    assert np.allclose(plain["logits"]["data"], outputs["logits"]["data"])


@pytest.mark.parametrize("model", ["loose", "shapes"])
def test_without_a_reference_rows_have_no_score(observed: TestClient, model: str) -> None:
    rows = np.zeros((1, 1, 8, 8) if model == "shapes" else (1, 4), np.float32)
    tensor = {"name": INPUT, "datatype": "FP32", "shape": list(rows.shape), "data": rows.tolist()}
    body = {"inputs": [tensor], "parameters": {"layer_statistics": True}}
    answer = observed.post(f"/v2/models/{model}/infer", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("parameters.layer_statistics: ")


def test_not_everyone_can_wait_for_scores_at_once(observed: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    infer(observed, usual_rows(1), layer_statistics=True)
    monkeypatch.setattr(scoring, "MAX_WAITING", 0)
    tensor = {"name": INPUT, "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0]}
    answer = observed.post(f"{TINY}/infer", json={"inputs": [tensor], "parameters": {"layer_statistics": True}})

    assert answer.status_code == 503
    assert "layer statistics" in answer.json()["error"]
    infer(observed, usual_rows(1))
