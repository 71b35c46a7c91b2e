"""From torch to a source graph."""

import re

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from models.errors import GraphError, MissingStatistics, ParityError, TrainingModeGraph
from models.graph.find import find
from models.graph.fold import fold
from models.graph.load import parse, serialize
from models.runtime.specs import specs
from tests.graphs import changed
from tests.models.parity.watched import checked
from tests.training.norm_layers import Frozen, WithReLU
from training.export import export
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP
from training.networks.resnet import ResNet

BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


def lived_in(network: nn.Module) -> nn.Module:
    """Give every normalisation layer statistics, scale and shift that are no identity."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, BatchNorm):
            for tensor in (module.running_mean, module.bias):
                nn.init.normal_(tensor)
            for tensor in (module.running_var, module.weight):
                nn.init.uniform_(tensor, 0.5, 2.0)
    return network.eval()


NETWORKS = {
    "mlp": (MLP(6, 3, depth=2, width=5), (6,), 2),
    "convnet": (ConvNet((1, 9, 9), 3, depth=2, width=2), (1, 9, 9), 2),
    "resnet": (ResNet(1, 3, depth=8, width=2), (1, 8, 8), 9),
    "synchronized": (nn.Sequential(nn.Linear(6, 5), nn.SyncBatchNorm(5), nn.ReLU()), (6,), 1),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in {"mlp", "convnet"} else kind for kind in NETWORKS]
)
def test_a_network_its_source_graph_and_its_folded_graph_agree(kind: str) -> None:
    network, row_shape, norm_layers = NETWORKS[kind]
    network = lived_in(network)

    exported = export(network, torch.zeros(1, *row_shape))
    source = exported.graph
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["folded_back"] * norm_layers
    checked(source, oracle=exported.oracle)
    modules = [name for name, module in network.named_modules() if isinstance(module, BatchNorm)]
    assert sorted(layer.name for layer in folded.norm_layers) == sorted(modules)

    # And the comparison is one that can fail.
    wrong = changed(source, next(name for name in modules) + ".running_mean", 1.01)
    with pytest.raises(ParityError):
        checked(parse(wrong), folded, oracle=exported.oracle)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return lived_in(MLP(6, 3, width=5))


@pytest.fixture(scope="module")
def graph(network: nn.Module) -> bytes:
    exported = export(network, torch.zeros(2, 6), input_names=["input"], output_names=["logits"])
    return serialize(exported.graph)


def test_weights_keep_the_names_and_bits_of_the_state_dict(network: nn.Module, graph: bytes) -> None:
    initializers = {tensor.name: numpy_helper.to_array(tensor) for tensor in parse(graph).graph.initializer}

    for name, tensor in network.state_dict().items():
        if name != "hidden.0.norm.num_batches_tracked":
            np.testing.assert_array_equal(initializers[name], tensor)


def test_input_and_output_have_our_names_and_a_free_batch_axis(graph: bytes) -> None:
    inputs, outputs = specs(graph)

    assert [(spec.name, spec.shape) for spec in (*inputs, *outputs)] == [("input", (-1, 6)), ("logits", (-1, 3))]


def test_no_path_and_no_note_of_the_exporter_is_left(graph: bytes) -> None:
    assert not re.search(rb"/[\w.-]+/|pkg\.torch|\.py|stack", graph)


def test_the_exporter_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    export(lived_in(MLP(6, 3)), torch.zeros(2, 6))

    assert capfd.readouterr() == ("", "")


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(TrainingModeGraph):
        export(MLP(6, 3).train(), torch.zeros(2, 6))


def test_one_module_in_training_mode_is_enough_to_refuse() -> None:
    network = MLP(6, 3).eval()
    network.hidden[0].norm.train()

    with pytest.raises(TrainingModeGraph):
        export(network, torch.zeros(2, 6))


def test_a_layer_without_running_statistics_is_refused_by_name() -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False)).eval()

    with pytest.raises(MissingStatistics, match="layer '1'"):
        export(network, torch.zeros(2, 6))


class Reused(nn.Module):
    """Normalises twice with one layer, and never with another."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.unused = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(self.norm(self.linear(x))))  # type: ignore[no-any-return]


def test_a_layer_that_is_used_twice_is_found_twice_and_an_unused_one_is_not() -> None:
    source = export(lived_in(Reused()), torch.zeros(2, 6)).graph

    assert [layer.name for layer in find(source)] == ["norm", "norm#2"]


def test_the_graph_has_as_many_layers_as_the_network_when_none_can_be_folded() -> None:
    network = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(6), nn.Tanh())

    source = export(lived_in(network), torch.zeros(2, 6)).graph

    assert len(find(source)) == 1
    assert fold(source).norm_layers[0].placement.kind == "kept"


class SeveralInputsAndOutputs(nn.Module):
    """Takes an image and tokens, and returns a tensor and one by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, image: Tensor, tokens: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        seen, read = self.bn(self.conv(image)).mean((2, 3)), self.norm(self.embedding(tokens).mean(1))
        return seen + read, {"seen": seen, "read": read}


def test_inputs_and_outputs_are_named_by_the_network() -> None:
    network = lived_in(SeveralInputsAndOutputs())

    exported = export(network, (torch.zeros(1, 3, 6, 6), torch.zeros(1, 5, dtype=torch.int64)))

    taken, given = specs(serialize(exported.graph))
    assert {spec.name: (spec.datatype, spec.shape) for spec in taken} == {
        "image": ("FP32", (-1, 3, 6, 6)),
        "tokens": ("INT64", (-1, 5)),
    }
    assert [spec.name for spec in given] == ["output_0", "output_1_seen", "output_1_read"]
    checked(exported.graph, oracle=exported.oracle)


def test_layers_of_other_classes_become_nodes_under_their_own_names() -> None:
    network = lived_in(nn.Sequential(nn.Conv2d(3, 4, 3), Frozen(4, 1e-2, act=True), nn.Conv2d(4, 4, 1), WithReLU(4)))

    exported = export(network, torch.zeros(2, 3, 6, 6))

    assert [(layer.name, round(layer.eps, 9)) for layer in find(exported.graph)] == [("1", 0.01), ("3", 1e-3)]
    assert isinstance(network[1], Frozen)
    checked(exported.graph, oracle=exported.oracle)


class FixedBatch(nn.Module):
    """Works for two rows only."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x).reshape(2, 6) + torch.ones(2, 6)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_a_network_of_a_fixed_batch_is_refused() -> None:
    with pytest.raises(GraphError, match="fixes the number of rows"):
        export(lived_in(FixedBatch()), torch.zeros(2, 6))
