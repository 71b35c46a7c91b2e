"""The configuration of a model, as load generators read it."""

import subprocess
import sys
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
    assert configuration["input"] == [
        {"name": "input", "data_type": "TYPE_FP32", "format": "FORMAT_NCHW", "dims": [1, 8, 8], "optional": False}
    ]
    assert configuration["output"] == [{"name": "logits", "data_type": "TYPE_FP32", "dims": [3]}]
    assert configuration["version_policy"] == {"specific": {"versions": [1]}}
    assert configuration["instance_group"] == [{"name": "shapes", "kind": "KIND_CPU", "count": 2, "gpus": []}]


def test_the_configuration_is_one_of_tritons(client: TestClient) -> None:
    """In the form that its own tools parse. Their messages take a process of their own."""
    parse = (
        "import sys; from google.protobuf import json_format; from tritonclient.grpc.model_config_pb2 import *; "
        "found = json_format.Parse(sys.stdin.read(), ModelConfig()); "
        "print(ModelInput.Format.Name(found.input[0].format), found.max_batch_size, found.instance_group[0].count)"
    )
    for model, expected in (("shapes", "FORMAT_NCHW 32 2"), ("tiny", "FORMAT_NONE 32 2")):
        text = client.get(f"/v2/models/{model}/config").text

        found = subprocess.run([sys.executable, "-c", parse], input=text, capture_output=True, text=True, timeout=60)

        assert found.stdout.strip() == expected, found.stderr


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
