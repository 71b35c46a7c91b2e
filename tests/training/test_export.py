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
from tests.models.parity.watched import checked
from training import export
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP
from training.networks.resnet import ResNet


def lived_in(network: nn.Module) -> nn.Module:
    """Give every normalisation layer statistics, scale and shift that are no identity."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, export.BatchNorm):
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


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_its_source_graph_and_its_folded_graph_agree(kind: str) -> None:
    network, row_shape, norm_layers = NETWORKS[kind]
    network = lived_in(network)

    source = export.source_graph(network, row_shape)
    folded = fold(source)

    assert [layer.placement.kind for layer in folded.norm_layers] == ["folded_back"] * norm_layers
    checked(source, oracle=export.oracle(network))
    modules = [name for name, module in network.named_modules() if isinstance(module, export.BatchNorm)]
    assert sorted(layer.name for layer in folded.norm_layers) == sorted(modules)

    # And the comparison is one that can fail.
    changed = lived_in(network)
    with torch.no_grad():
        next(module for module in changed.modules() if isinstance(module, export.BatchNorm)).running_mean += 0.01
    with pytest.raises(ParityError):
        checked(source, oracle=export.oracle(changed))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return lived_in(MLP(6, 3, width=5))


@pytest.fixture(scope="module")
def graph(network: nn.Module) -> bytes:
    return serialize(export.source_graph(network, (6,)))


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
    export.source_graph(lived_in(MLP(6, 3)), (6,))

    assert capfd.readouterr() == ("", "")


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(TrainingModeGraph):
        export.source_graph(MLP(6, 3).train(), (6,))


def test_one_module_in_training_mode_is_enough_to_refuse() -> None:
    network = MLP(6, 3).eval()
    network.hidden[0].norm.train()

    with pytest.raises(TrainingModeGraph):
        export.source_graph(network, (6,))


def test_a_layer_without_running_statistics_is_refused_by_name() -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False)).eval()

    with pytest.raises(MissingStatistics, match="layer '1'"):
        export.source_graph(network, (6,))


class Reused(nn.Module):
    """Normalises twice with one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(self.norm(self.linear(x))))  # type: ignore[no-any-return]


def test_a_layer_that_is_used_twice_is_refused() -> None:
    with pytest.raises(GraphError, match="has 1 normalisation layers, its graph 2"):
        export.source_graph(lived_in(Reused()), (6,))


def test_an_unused_layer_is_refused() -> None:
    network = MLP(6, 3)
    network.unused = nn.BatchNorm1d(6)

    with pytest.raises(GraphError, match="has 2 normalisation layers, its graph 1"):
        export.source_graph(lived_in(network), (6,))


def test_the_graph_has_as_many_layers_as_the_network_when_none_can_be_folded() -> None:
    network = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(6), nn.Tanh())

    source = export.source_graph(lived_in(network), (6,))

    assert len(find(source)) == 1
    assert fold(source).norm_layers[0].placement.kind == "kept"
