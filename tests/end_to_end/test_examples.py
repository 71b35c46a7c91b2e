"""The examples, on few rows: trained, served, watched and re-calibrated."""

import runpy
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from training.__main__ import main
from training.data import digits
from training.data.dataset import ImageDataset

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = ["--data", "digits", "--epochs", "4"]
TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return digits.load()


def example(name: str) -> Callable[[list[str]], object]:
    return runpy.run_path(str(EXAMPLES / name))["main"]  # type: ignore[no-any-return]


def tensor(name: str, rows: np.ndarray) -> dict[str, object]:
    return {"inputs": [{"name": name, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}]}


def assert_it_is_served_watched_and_recalibrated(repository: Path, model: str, data: ImageDataset) -> None:
    """Predictions are right, the verdict is that of the traffic, and rows that moved give a next version."""
    manifest = Repository(repository).read(model, 1).manifest
    (layer,) = manifest.norm_layers
    assert layer.placement.kind == "folded_back"
    assert manifest.labels == data.class_names
    given, taken = manifest.outputs[0].name, manifest.inputs[0].name
    rows = data.prepare(data.test_images).reshape(-1, 784)
    path = f"/v2/models/{model}"
    settings = Settings(repository=repository, log_level="warning", watch_percent=100)
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:

        def predict() -> dict[str, Any]:
            return dict(client.post(f"{path}/infer", json=tensor(taken, rows)).json())

        (scores,) = predict()["outputs"]
        assert scores["name"] == given
        predicted = np.reshape(scores["data"], (-1, 10)).argmax(1)
        assert (predicted == data.test_labels).mean() > 0.85

        deadline = monotonic() + TIMEOUT_SECONDS
        while not client.get(f"{path}/layers/{layer.name}/live").json()["rows"]:
            assert monotonic() < deadline, f"no row was observed within {TIMEOUT_SECONDS} seconds of predictions"
            predict()
        assert client.get(f"{path}/drift").json()["verdict"] == "quiet"

        dark = (rows[:128] * 0.6).astype(np.float32)
        job = client.post(f"{path}/recalibrations", json=tensor(taken, dark)).json()
        done = client.get(f"{path}/recalibrations/{job['id']}", params={"wait": TIMEOUT_SECONDS}).json()
        assert done["state"] == "published", done


@pytest.mark.slow
def test_the_example_of_pytorch(tmp_path: Path, data: ImageDataset) -> None:
    assert example("pytorch/mnist.py")([*QUICK, "--repository", str(tmp_path)]) == 1

    assert_it_is_served_watched_and_recalibrated(tmp_path, "pytorch-mnist", data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras and numpy 2
def test_the_example_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: ImageDataset) -> None:
    monkeypatch.chdir(tmp_path)
    example("keras/mnist.py")(QUICK)

    labels = ",".join(data.class_names)
    arguments = ["keras-mnist.keras", "--name", "keras-mnist", "--labels", labels, "--reference", "held_out.npy"]
    assert main(["import", *arguments]) == 0

    (layer,) = Repository(tmp_path / "repository").read("keras-mnist", 1).manifest.norm_layers
    assert (layer.name, layer.eps, layer.momentum) == ("batch_normalization", 0.001, 0.99)
    assert_it_is_served_watched_and_recalibrated(tmp_path / "repository", "keras-mnist", data)
