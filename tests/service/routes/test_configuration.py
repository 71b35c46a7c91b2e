"""The configuration of a model, as load generators read it."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.manifest import Batching
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.bundles import tiny_bundle


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
