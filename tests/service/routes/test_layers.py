"""What the service says about normalisation layers."""

import pytest
from starlette.testclient import TestClient

from tests.bundles import tiny_bundle


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_layers_are_listed_with_their_place(client: TestClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/layers").json()

    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1")
    (layer,) = answer["layers"]
    assert (layer["name"], layer["num_features"]) == ("norm", 3)
    assert (layer["placement"]["kind"], layer["placement"]["into"]) == ("folded_back", ["fc"])


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_a_layer_tells_what_it_remembers(client: TestClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/layers/norm").json()
    (layer,) = tiny_bundle().manifest.norm_layers

    for name in ("running_mean", "running_var", "gamma", "beta"):
        assert tuple(answer[name]) == getattr(layer, name)
        assert name in answer["units"]
    assert (answer["eps"], answer["momentum"]) == (layer.eps, layer.momentum)
