"""What the service says about normalisation layers."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from models.manifest import LayerHistory, TopologyNode, TrainingHistory
from models.repository.repository import Repository
from tests.bundles import tiny_bundle


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_layers_are_listed_with_their_place(client: TestClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/layers").json()

    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1")
    (layer,) = answer["layers"]
    assert (layer["name"], layer["num_features"]) == ("norm", 3)
    assert (layer["placement"]["kind"], layer["placement"]["into"]) == ("folded_back", ["fc"])
    assert answer["topology"] == []  # as in a bundle of an earlier release


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_a_layer_tells_what_it_remembers(client: TestClient, prefix: str) -> None:
    answer = client.get(f"{prefix}/layers/norm").json()
    (layer,) = tiny_bundle().manifest.norm_layers

    for name in ("running_mean", "running_var", "gamma", "beta"):
        assert tuple(answer[name]) == getattr(layer, name)
        assert name in answer["units"]
    assert (answer["eps"], answer["momentum"]) == (layer.eps, layer.momentum)


@pytest.mark.parametrize("prefix", ["/v2/models/tiny", "/v2/models/tiny/versions/2"])
def test_a_layer_tells_how_its_statistics_came_about(
    repository: Repository, own_client: TestClient, prefix: str
) -> None:
    points = {name: ((float(i), 0.5),) for i, name in enumerate(LayerHistory.model_fields)}
    layers = {"norm": LayerHistory(**points | {"gradient_norm": (0.25,)})}
    history = TrainingHistory(steps=(1,), percentiles=(25, 75), layers=layers)
    topology = (
        TopologyNode(kind="input", name="input", sources=()),
        TopologyNode(kind="layer", name="norm", sources=(0,)),
    )
    bundle = tiny_bundle()
    changes = {"training_history": history, "topology": topology}
    repository.publish(replace(bundle, manifest=bundle.manifest.model_copy(update=changes)), candidate=False)
    assert own_client.post("/v2/repository/models/tiny/load").status_code == 200

    answer = own_client.get(f"{prefix}/layers/norm/training").json()

    assert answer == {
        "model_name": "tiny",
        "model_version": "2",
        "layer": "norm",
        "steps": [1],
        "percentiles": [25, 75],
        **{name: [list(point) for point in found] for name, found in points.items()},
        "gradient_norm": [0.25],
    }
    assert own_client.get(f"{prefix}/layers/other/training").status_code == 404
    assert own_client.get(f"{prefix}/layers").json()["topology"] == [node.model_dump(mode="json") for node in topology]
    card = own_client.get(f"{prefix}/card").json()
    assert not card.keys() & changes.keys()


def test_a_version_whose_layers_were_not_watched_has_no_steps(client: TestClient) -> None:
    answer = client.get("/v2/models/tiny/layers/norm/training").json()

    assert (answer["model_version"], answer["layer"]) == ("1", "norm")
    assert not any(value for name, value in answer.items() if name not in ("model_name", "model_version", "layer"))
