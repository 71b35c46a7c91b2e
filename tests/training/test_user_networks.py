"""Networks that a user's own code builds, and their weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.errors import InvalidInput
from training.user_networks import build, load_weights

CODE = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

def with_inputs():
    return network(), torch.zeros(1, 3)

def sized(features):
    return nn.Linear(features, 2)

def text():
    return "no network"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module in the present folder; its name is not used twice, since modules stay imported."""
    name = f"theirs_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_function_builds_a_network_in_evaluation_mode(module: str) -> None:
    network, inputs = build(f"{module}:network")

    assert isinstance(network, nn.Sequential)
    assert not network.training
    assert inputs is None


def test_a_function_may_return_example_inputs(module: str) -> None:
    assert build(f"{module}:with_inputs")[1].shape == (1, 3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{module}:text", "returns a str: expected a torch.nn.Module"),
        ("{module}:sized", "cannot be called without arguments: missing a required argument: 'features'"),
        ("{module}:nothing", "has no function nothing"),
        ("{module}_too:network", "there is no module"),
    ],
)
def test_what_builds_no_network_is_refused(module: str, source: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build(source.format(module=module))


def test_weights_are_loaded_exactly(tmp_path: Path) -> None:
    trained, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.normal_(trained.running_mean)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")

    load_weights(network, tmp_path / "weights.safetensors")

    assert torch.equal(network.running_mean, trained.running_mean)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"0.weight": torch.zeros(2, 4), "0.extra": torch.zeros(2)}, path)

    with pytest.raises(InvalidInput) as refused:
        load_weights(nn.Sequential(nn.Linear(3, 2)), path)

    assert str(refused.value).endswith(
        "it lacks 0.bias; the network lacks 0.extra; other shapes 0.weight [2, 4] where the network has [2, 3]"
    )


def test_pickle_is_never_read(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "weights.pt")

    with pytest.raises(InvalidInput, match="pickle"):
        load_weights(nn.Linear(1, 1), tmp_path / "weights.pt")
