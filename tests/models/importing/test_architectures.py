"""Small networks in the shapes of timm's, as torch's older exporter writes them: a part of `benchmarks.folding`."""

import io
import warnings
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu

from models.datatypes import Array
from models.graph.load import parse
from models.importing.onnx import import_graph
from models.manifest import NormLayer
from models.model_info import ModelInfo
from models.observation import ObservationReader
from models.repository.bundle import Bundle
from models.runtime.load import load
from tests.models.graph.oracle import error


class Reparameterised(nn.Module):
    """RepVGG: a convolution of 3 x 3, one of 1 x 1 and the input itself, each normalised, are added."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.wide_norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.narrow, self.narrow_norm = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.itself = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.wide_norm(self.wide(x)) + self.narrow_norm(self.narrow(x)) + self.itself(x))


class Dense(nn.Module):
    """DenseNet: what a layer normalises is also read by the layers after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(6)
        self.conv, self.last = nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        grown = torch.cat([x, self.conv(relu(self.first(x)))], dim=1)
        return self.last(relu(self.second(grown)))


class Mixer(nn.Module):
    """ConvMixer: a layer between an activation and a padded convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(gelu(self.conv(x))))


class Chunks(nn.Module):
    """Res2Net and dual paths: parts of the channels are normalised, each by its own layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3)
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in (2, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = torch.chunk(self.conv(x), 3, dim=1)
        return relu(self.norms[0](first)) + relu(self.norms[1](second)) * self.norms[2](third)


class Tokens(nn.Module):
    """LeViT: queries and keys are normalised as features of a linear layer over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.linear(x.flatten(2).transpose(1, 2))
        queries, keys = self.norm(tokens.flatten(0, 1)).reshape_as(tokens).chunk(2, dim=-1)
        return (queries @ keys.transpose(1, 2)).softmax(dim=-1)


NETWORKS: dict[type[nn.Module], tuple[tuple[str, ...], bool]] = {
    Reparameterised: (("folded_back", "folded_back", "kept"), False),
    Dense: (("kept", "folded_back"), True),
    Mixer: (("kept",), True),
    Chunks: (("folded_back", "folded_back", "folded_back"), False),
    Tokens: (("folded_back",), False),
}
"""What becomes of the layers, in the order of the graph; and whether one that is kept has a proof."""

SINGLE = 1e-5


class Network(nn.Module):
    """A part behind a convolution, which makes its channels."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.stem, self.part = nn.Conv2d(3, 4, 3), part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.stem(x))


class Sweep:
    """A network with random statistics, scales of both signs, its rows, and its bundle."""

    def __init__(self, part: type[nn.Module]) -> None:
        torch.manual_seed(0)
        self.network = Network(part()).eval()
        self.layers = {name: module for name, module in self.network.named_modules() if hasattr(module, "running_mean")}
        for layer in self.layers.values():
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.uniform_(layer.bias, -1, 1)
            with torch.no_grad():
                layer.weight[1] *= -1
        self.rows = torch.randn(5, 3, 8, 8)
        self.bundle = import_graph(parse(self._export()), ModelInfo("network"))

    def _export(self) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about torch's own
            torch.onnx.export(
                self.network, (self.rows,), file, dynamo=False, training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False, input_names=["x"], output_names=["y"],
                dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
            )  # fmt: skip
        return file.getvalue()

    def run(self, graph: bytes) -> dict[str, Array]:
        return load(graph, optimize=True)({"x": self.rows.numpy()})

    def torch_output(self) -> tuple[Array, dict[str, Array]]:
        """In float64: the output, and the mean of each row and channel of each layer, in z units."""
        found: dict[str, list[Tensor]] = defaultdict(list)
        network = self.network.double()
        hooks = [
            layer.register_forward_hook(lambda layer, _, y, name=name: found[name].append(_z_units(layer, y)))
            for name, layer in self.layers.items()
        ]
        with torch.no_grad():
            output = network(self.rows.double()).numpy()
        for hook in hooks:
            hook.remove()
        self.network.float()
        return output, {name: runs[0].numpy() for name, runs in found.items()}


def _z_units(layer: nn.Module, y: Tensor) -> Tensor:
    shape = [1, -1] + [1] * (y.dim() - 2)
    assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
    return ((y - layer.bias.view(shape)) / layer.weight.abs().view(shape)).flatten(2).mean(-1) if y.dim() > 2 else y


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda part: part.__name__)
def sweep(request: pytest.FixtureRequest) -> Iterator[tuple[Sweep, tuple[str, ...], bool]]:
    return Sweep(request.param), *NETWORKS[request.param]


def test_every_layer_is_found_and_folds_or_says_why(sweep: tuple[Sweep, tuple[str, ...], bool]) -> None:
    network, kinds, is_proven = sweep
    layers = network.bundle.manifest.norm_layers

    assert {layer.name for layer in layers} == set(network.layers)
    assert tuple(layer.placement.kind for layer in layers) == kinds
    assert any(layer.placement.proven for layer in layers) == is_proven


def test_its_graphs_compute_what_torch_does_in_float64(sweep: tuple[Sweep, tuple[str, ...], bool]) -> None:
    network, *_ = sweep
    expected, _ = network.torch_output()

    for graph in (network.bundle.source, network.bundle.folded):
        assert error(expected, network.run(graph)["y"].astype(np.float64)) < SINGLE

    with torch.no_grad():
        network.network.stem.weight[0, 0, 0, 0] += 0.01
    other, _ = network.torch_output()
    with torch.no_grad():
        network.network.stem.weight[0, 0, 0, 0] -= 0.01
    assert error(other, network.run(network.bundle.folded)["y"].astype(np.float64)) > SINGLE


def test_what_is_observed_is_what_hooks_in_torch_see(sweep: tuple[Sweep, tuple[str, ...], bool]) -> None:
    network, *_ = sweep
    _, hooked = network.torch_output()
    watched = [layer for layer in network.bundle.manifest.norm_layers if layer.unwatched is None]
    found = _observe(network.bundle, watched, network)

    for layer in watched:
        np.testing.assert_allclose(hooked[layer.name], found[layer.name], rtol=1e-4, atol=1e-5)
    unwatched = [layer.name for layer in network.bundle.manifest.norm_layers if layer.unwatched is not None]
    assert unwatched == (["part.norm"] if isinstance(network.network.part, Tokens) else [])


def _observe(bundle: Bundle, layers: list[NormLayer], network: Sweep) -> dict[str, Array]:
    if bundle.observed is None:
        return {}
    outputs = network.run(bundle.observed)
    return {name: rows.mean for name, rows in ObservationReader(layers, outputs).read(outputs).items()}
