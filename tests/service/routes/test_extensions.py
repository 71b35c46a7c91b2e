"""Classification, statistics and configuration, as the protocol's tools read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from starlette.testclient import TestClient

from models.manifest import Batching
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from service.wire.classification import best
from tests.bundles import tiny_bundle

URL = "/v2/models/tiny/infer"
ROWS = np.random.default_rng(5).normal(scale=3, size=(3, 4)).round(3).tolist()


def infer(client: TestClient, url: str = URL, **output: Any) -> Any:
    tensor = {"name": "input", "datatype": "FP32", "shape": [3, 4], "data": ROWS}
    body = {"inputs": [tensor], "outputs": [{"name": "logits", "parameters": output}]}
    return client.post(url, json=body)


class TestClassification:
    """The k best classes."""

    @pytest.mark.parametrize(("asked", "got"), [(1, 1), (2, 2), (100, 2)])
    def test_gives_the_best_classes_with_their_labels(self, client: TestClient, asked: int, got: int) -> None:
        logits = np.array(infer(client).json()["outputs"][0]["data"]).reshape(3, 2)

        output = infer(client, classification=asked).json()["outputs"][0]

        assert (output["datatype"], output["shape"]) == ("BYTES", [3, got])
        for row, texts in zip(logits, np.array(output["data"]).reshape(3, got), strict=True):
            for index, text in zip(np.argsort(-row), texts, strict=False):
                score, position, label = text.split(":")
                assert float(score) == pytest.approx(row[index])
                assert (int(position), label) == (index, ("no", "yes")[index])

    def test_comes_as_lengths_and_bytes_too(self, client: TestClient) -> None:
        texts = infer(client, classification=1).json()["outputs"][0]["data"]

        response = infer(client, classification=1, binary_data=True)

        header = int(response.headers["Inference-Header-Content-Length"])
        raw = response.content[header:]
        output = json.loads(response.content[:header])["outputs"][0]
        assert output["parameters"]["binary_data_size"] == len(raw)
        assert raw == b"".join(len(text).to_bytes(4, "little") + text.encode() for text in texts)

    @pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
    def test_needs_a_number_of_classes(self, client: TestClient, count: Any) -> None:
        response = infer(client, classification=count)

        assert response.status_code == 400
        assert response.json()["error"].startswith("outputs[0].parameters.classification: ")

    @given(
        scores=arrays(
            np.float32, array_shapes(min_dims=1, max_dims=3, max_side=4), elements=st.floats(-9, 9, width=32)
        ),
        count=st.integers(1, 5),
    )
    def test_ranks_any_scores(self, scores: np.ndarray, count: int) -> None:
        for row, texts in zip(scores, best(scores, count, None), strict=True):
            flat = np.atleast_1d(row).reshape(-1)
            positions = [int(text.split(":")[1]) for text in texts]
            assert positions == sorted(range(flat.size), key=lambda index: -flat[index])[:count]

    def test_of_no_rows_is_nothing(self) -> None:
        assert best(np.zeros((0, 3)), 2, None).shape == (0, 2)


class TestStatistics:
    """What a load generator reads before and after."""

    def test_count_rows_runs_and_requests(self, own_client: TestClient) -> None:
        def read() -> dict[str, Any]:
            (entry,) = own_client.get("/v2/models/tiny/stats").json()["model_stats"]
            return entry

        assert read()["last_inference"] == 0
        infer(own_client)
        infer(own_client)
        after = read()

        assert (after["name"], after["version"]) == ("tiny", "1")
        assert (after["inference_count"], after["execution_count"]) == (6, 2)
        times = after["inference_stats"]
        assert times["success"]["count"] == times["queue"]["count"] == times["compute_infer"]["count"] == 2
        assert times["success"]["ns"] >= times["compute_infer"]["ns"] > 0
        assert set(times) >= {"fail", "compute_input", "compute_output", "cache_hit", "cache_miss"}
        assert [(entry["batch_size"], entry["compute_infer"]["count"]) for entry in after["batch_stats"]] == [(3, 2)]
        assert after["last_inference"] > 0

    def test_come_for_all_models_and_for_one_version(self, client: TestClient) -> None:
        names = [entry["name"] for entry in client.get("/v2/models/stats").json()["model_stats"]]
        one = client.get("/v2/models/tiny/versions/1/stats").json()["model_stats"]

        assert sorted(names) == ["shapes", "tiny"]
        assert [entry["name"] for entry in one] == ["tiny"]

    @pytest.mark.parametrize("url", ["/v2/models/nobody/stats", "/v2/models/tiny/versions/9/stats"])
    def test_of_what_is_not_there_are_not_found(self, client: TestClient, url: str) -> None:
        assert client.get(url).status_code == 404


@pytest.mark.parametrize("url", ["/v2/models/shapes/config", "/v2/models/shapes/versions/1/config"])
def test_the_configuration_leaves_the_batch_axis_out(client: TestClient, url: str) -> None:
    configuration = client.get(url).json()

    assert configuration["max_batch_size"] == 32
    assert configuration["dynamic_batching"] == {"max_queue_delay_microseconds": 0}
    assert configuration["parameters"] == {"inline_ms": {"string_value": "1"}}
    assert configuration["input"] == [{"name": "input", "data_type": "TYPE_FP32", "dims": [1, 8, 8]}]
    assert configuration["output"] == [{"name": "logits", "data_type": "TYPE_FP32", "dims": [3]}]


def test_the_configuration_shows_what_the_model_says_itself(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    own = Batching(max_batch_rows=100, batch_wait_ms=2.5, inline_ms=0)
    manifest = bundle.manifest.model_copy(update={"batching": own})
    repository = Repository(tmp_path / "repository")
    repository.publish(Bundle(manifest, folded=bundle.folded, source=bundle.source))
    with TestClient(create_app(Settings(repository=repository.root))) as client:
        configuration = client.get("/v2/models/tiny/config").json()

    assert configuration["max_batch_size"] == 100
    assert configuration["dynamic_batching"] == {"max_queue_delay_microseconds": 2500}
    assert configuration["parameters"] == {"inline_ms": {"string_value": "0"}}
