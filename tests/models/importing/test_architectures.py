"""Small networks in the shapes of timm's, as both exporters of torch write them: a part of `benchmarks.folding`."""

import io
import warnings
from collections import defaultdict

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.datatypes import Array
from models.graph.load import parse
from models.importing.onnx import import_graph
from models.manifest import NormLayer
from models.model_info import ModelInfo
from models.observation import ObservationReader
from models.repository.bundle import Bundle
from models.runtime.load import load
from tests.models.graph.oracle import error
from tests.models.importing.architectures import NETWORKS, DualPath, PreActivation, Reparameterised, Tokens

SINGLE = 1e-5

EXPORTERS = ("legacy", "dynamo")

OFTEN = (Reparameterised, DualPath, PreActivation, Tokens)
"""Shapes that run with torch's newer exporter every time: it takes a second or two for each."""


class Network(nn.Module):
    """A part behind a convolution, which makes its channels."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.stem, self.part = nn.Conv2d(3, 4, 3), part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.stem(x))


class Sweep:
    """A network with random statistics, scales of both signs, its rows, and its bundle."""

    def __init__(self, part: type[nn.Module], exporter: str) -> None:
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
        self.bundle = import_graph(parse(self._export(exporter)), ModelInfo("network"))

    def _export(self, exporter: str) -> bytes:
        file = io.BytesIO()
        names = {"input_names": ["x"], "output_names": ["y"]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about torch's own
            if exporter == "dynamo":
                rows = torch.export.Dim("batch")
                torch.onnx.export(
                    self.network, (self.rows,), file, **names, dynamo=True, optimize=False, external_data=False,
                    verbose=False, dynamic_shapes=({0: rows},),
                )  # fmt: skip
            else:
                torch.onnx.export(
                    self.network, (self.rows,), file, **names, dynamo=False, do_constant_folding=False,
                    training=torch.onnx.TrainingMode.PRESERVE,
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
    z = (y - layer.bias.view(shape)) / layer.weight.abs().view(shape)
    return z.flatten(2).mean(-1) if y.dim() > 2 else z


CASES = [
    pytest.param(
        (part, exporter),
        id=f"{part.__name__}-{exporter}",
        marks=[pytest.mark.slow] if exporter == "dynamo" and part not in OFTEN else [],
    )
    for exporter in EXPORTERS
    for part in NETWORKS
]


@pytest.fixture(scope="module", params=CASES)
def sweep(request: pytest.FixtureRequest) -> tuple[Sweep, tuple[str, ...], bool]:
    part, exporter = request.param
    return Sweep(part, exporter), *NETWORKS[part]


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
        by_row = hooked[layer.name].reshape(len(network.rows), -1, layer.num_features).mean(1)
        np.testing.assert_allclose(by_row, found[layer.name], rtol=1e-4, atol=1e-5)
    assert watched == list(network.bundle.manifest.norm_layers)
    joined = [layer.name for layer in watched if layer.several_per_row]
    assert joined == (["part.norm"] if isinstance(network.network.part, Tokens) else [])


def _observe(bundle: Bundle, layers: list[NormLayer], network: Sweep) -> dict[str, Array]:
    if bundle.observed is None:
        return {}
    outputs = network.run(bundle.observed)
    return {name: rows.mean for name, rows in ObservationReader(layers, outputs).read(outputs).items()}
