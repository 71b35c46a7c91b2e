"""Networks without batch normalisation are watched: what is observed is what torch's layers have; drift is found."""

import io
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.capabilities import unavailable
from models.datatypes import Arrays
from models.drift.detector import Detector
from models.graph.load import parse
from models.importing.onnx import import_graph
from models.model_info import ModelInfo
from models.moments.window import WindowMoments
from models.observation import ObservationReader, RowStatistics
from models.repository.bundle import Bundle
from models.runtime.load import load

ROWS = 400


class GroupNormResNet(nn.Module):
    """A block of a ResNet with GroupNorm, and an InstanceNorm after it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.instance, self.head = nn.InstanceNorm2d(8, affine=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(x + self.norm2(self.conv2(x)))
        return self.head(torch.relu(self.instance(x)).mean((2, 3)))


class ConvNeXt(nn.Module):
    """A block of a ConvNeXt: the norm's channels are last, between two permutations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 8, 2, 2), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)
        self.last, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x)
        y = self.norm(self.depthwise(stem).permute(0, 2, 3, 1))
        x = stem + self.narrow(nn.functional.gelu(self.wide(y))).permute(0, 3, 1, 2)
        return self.head(self.last(x.mean((2, 3))))


class RMSNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.weight


class Encoder(nn.Module):
    """A layer of a transformer's encoder on tokens of 6 numbers, and an RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
        self.norm, self.head = RMSNorm(16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.layer(self.embed(x))).mean(1))


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.head = nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.first(x)))


Networks: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, tuple[str, str, int]]]] = {
    "resnet": (
        GroupNormResNet,
        (3, 8, 8),
        {
            "norm1": ("group_norm", "input", 1),
            "norm2": ("group_norm", "input", 1),
            "instance": ("instance_norm", "input", 1),
        },
    ),
    "convnext": (
        ConvNeXt,
        (3, 8, 8),
        {"norm": ("layer_norm", "output", -1), "last": ("layer_norm", "output", -1)},
    ),
    "encoder": (
        Encoder,
        (5, 6),
        {
            "layer.norm1": ("layer_norm", "output", -1),
            "layer.norm2": ("layer_norm", "output", -1),
            "norm": ("rms_norm", "output", -1),
        },
    ),
    "plain": (Plain, (6,), {"act": ("activation", "output", -1)}),
}
"""A network, the shape of its rows, and its layers: kind, where they are read, and the axis of their channels there."""

every_network = pytest.mark.parametrize("name", Networks)


@cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    built = Networks[name][0]()
    for parameter in built.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 0.5, 0.5)
    return built.eval()


def rows(name: str, count: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(shift, scale, (count, *Networks[name][1]))
    return found.astype(np.float32)


@cache
def bundle(name: str) -> Bundle:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        torch.onnx.export(
            network(name),
            (torch.from_numpy(rows(name, 2, 0)),),
            file,
            dynamo=False,
            opset_version=17 if name != "encoder" else 14,  # with which layer norms are decomposed
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
        )
    return import_graph(parse(file.getvalue()), ModelInfo(name), {"x": rows(name, ROWS, 1)})


def observe(name: str, given: np.ndarray) -> dict[str, RowStatistics]:
    found = bundle(name)
    assert found.observed is not None
    outputs = load(found.observed, optimize=True)({"x": given})
    return ObservationReader(found.manifest.layers, outputs).read(outputs)


def hooked(name: str, given: np.ndarray) -> dict[str, np.ndarray]:
    """What torch's layers have in float64, channels last."""
    seen: dict[str, np.ndarray] = {}
    exact = network(name).double()
    hooks = []
    for layer, (_, where, axis) in Networks[name][2].items():

        def record(
            _: nn.Module, args: tuple[Tensor], out: Tensor, at: tuple[str, str, int] = (layer, where, axis)
        ) -> None:
            tensor = args[0] if at[1] == "input" else out
            seen[at[0]] = np.moveaxis(tensor.detach().numpy(), at[2], -1)

        hooks.append(exact.get_submodule(layer).register_forward_hook(record))
    torch.backends.mha.set_fastpath_enabled(False)  # which calls no layer of the encoder
    try:
        exact(torch.from_numpy(given).double())
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
        for hook in hooks:
            hook.remove()
        exact.float()
    return seen


@every_network
def test_layers_are_found_with_their_kinds(name: str) -> None:
    layers = bundle(name).manifest.watched_layers

    expected = [kind for kind, _, _ in Networks[name][2].values()]
    assert [layer.kind for layer in layers] == expected
    assert all(layer.unwatched is None for layer in layers)
    assert {"watching", "layer_statistics"}.isdisjoint(unavailable(bundle(name).manifest))
    assert "BatchNormalization" in unavailable(bundle(name).manifest)["recalibration"]


@every_network
def test_the_observed_moments_are_those_of_torchs_layers(name: str) -> None:
    given = rows(name, 16, 7)
    found = observe(name, given)

    for layer, tensor in zip(bundle(name).manifest.watched_layers, hooked(name, given).values(), strict=True):
        positions = tensor.reshape(len(tensor), -1, tensor.shape[-1])
        scale = np.ones(layer.num_features) if layer.placement.scale is None else np.array(layer.placement.scale)
        shift = np.zeros(layer.num_features) if layer.placement.shift is None else np.array(layer.placement.shift)
        if layer.gamma is not None and layer.beta is not None:
            spread = np.maximum(np.abs(layer.gamma), 1e-3 * np.median(np.abs(layer.gamma)))
            scale, shift = 1 / spread, -np.array(layer.beta) / spread
        z = positions * scale + shift
        tolerance = 1e-3 * np.abs(scale).max()
        np.testing.assert_allclose(found[layer.name].mean, z.mean(axis=1), rtol=1e-3, atol=tolerance)
        np.testing.assert_allclose(
            found[layer.name].mean_square, np.square(z).mean(axis=1), rtol=1e-2, atol=tolerance * np.abs(z).max()
        )
        assert not np.allclose(found[layer.name].mean[::-1], z.mean(axis=1), rtol=1e-3, atol=tolerance)


@every_network
def test_reference_rows_have_mean_0_and_variance_1_where_they_give_the_units(name: str) -> None:
    manifest = bundle(name).manifest
    assert manifest.drift is not None

    for layer in manifest.watched_layers:
        if layer.gamma is None:
            known = manifest.drift.layers[layer.name]
            varies = np.array(known.mean_square) > 0.5  # an activation may be zero for all rows
            assert varies.any()
            np.testing.assert_allclose(np.array(known.mean)[varies], 0, atol=1e-3)
            np.testing.assert_allclose(np.array(known.mean_square)[varies], 1, atol=1e-2)


@every_network
def test_shifted_rows_raise_an_alarm_and_clean_ones_do_not(name: str) -> None:
    detector = Detector(bundle(name).manifest.drift)

    def alarm(given: np.ndarray) -> bool:
        return detector.assess(
            {layer: WindowMoments.of(statistics) for layer, statistics in observe(name, given).items()}
        ).alarm

    assert alarm(rows(name, 128, 11, shift=1.0))
    assert alarm(rows(name, 128, 12, scale=2.0))
    assert not any(alarm(rows(name, 128, seed)) for seed in range(20, 26))


def test_rows_that_a_layer_mixes_are_not_watched_and_the_reason_is_said() -> None:
    class SequenceFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(6)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x.transpose(0, 1)).transpose(0, 1)

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            SequenceFirst(), (torch.zeros(2, 5, 6),), file, dynamo=False, opset_version=17,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
        )  # fmt: skip

    given: Arrays = {"x": rows("encoder", ROWS, 1)}
    manifest = import_graph(parse(file.getvalue()), ModelInfo("mixed"), given).manifest

    (layer,) = manifest.watched_layers
    assert "depend on the other rows" in (layer.unwatched or "")
    assert "no layer can be observed" in unavailable(manifest)["watching"]
    assert manifest.drift is None
