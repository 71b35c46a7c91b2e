"""Layers behind a reshape that joins the rows with another axis, as of video, windows of time or patches."""

import io
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.datatypes import Array
from models.graph.load import parse
from models.importing.onnx import import_graph
from models.model_info import ModelInfo
from models.observation import ObservationReader, RowStatistics
from models.repository.bundle import Bundle
from models.runtime.load import load

STEPS = 4


class Frames(nn.Module):
    """Convolution, BN and ReLU over each of some frames, and the mean of their features."""

    def __init__(self, is_flat: bool, *, is_time_first: bool = False, offset: float = 0.0) -> None:
        super().__init__()
        self.is_flat = is_flat
        self.is_time_first = is_time_first
        self.stem: nn.Module = nn.Linear(12, 5) if is_flat else nn.Conv2d(3, 5, 3)
        self.norm: nn.Module = nn.BatchNorm1d(5) if is_flat else nn.BatchNorm2d(5)
        self.head = nn.Linear(5, 2)
        with torch.no_grad():
            self.norm.weight.uniform_(0.5, 1.5)
            self.norm.bias.uniform_(-0.5, 0.5).add_(offset)
            self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.is_time_first:
            x = x.transpose(0, 1)
        joined = x.reshape(-1, *x.shape[2:])
        y = torch.relu(self.norm(self.stem(joined)))
        y = y if self.is_flat else y.mean((2, 3))
        if self.is_time_first:
            return self.head(y.reshape(STEPS, -1, 5).mean(0))
        return self.head(y.reshape(-1, STEPS, 5).mean(1))


def inputs(is_flat: bool, rows: int) -> Tensor:
    return torch.randn(rows, STEPS, *((12,) if is_flat else (3, 6, 6)), generator=torch.Generator().manual_seed(rows))


def imported(network: Frames) -> Bundle:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (inputs(network.is_flat, 2),), file, dynamo=False, opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
            input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
        )  # fmt: skip
    given: dict[str, Array] = {"x": inputs(network.is_flat, 128).numpy()}
    return import_graph(parse(file.getvalue()), ModelInfo("frames"), given)


def in_torch(network: Frames, x: Tensor) -> tuple[Array, Array]:
    """Mean and mean square over the steps and positions of each row in z units, in float64, shape (rows, channels)."""
    found: list[Tensor] = []
    hook = network.norm.register_forward_hook(lambda _layer, _inputs, output: found.append(output))
    with torch.no_grad():
        network.double()(x.double())
        network.float()
    hook.remove()
    by_row = found[0].reshape(len(x), STEPS, 5, -1)
    shape = 1, 1, 5, 1
    weight, bias = (part.detach().double().reshape(shape) for part in (network.norm.weight, network.norm.bias))
    z = (by_row - bias) / weight.abs()
    return z.mean((1, 3)).numpy(), z.square().mean((1, 3)).numpy()


def observed(bundle: Bundle, x: Tensor) -> RowStatistics:
    assert bundle.observed is not None
    outputs = load(bundle.observed, optimize=True)({"x": x.numpy()})
    (rows,) = ObservationReader(bundle.manifest.norm_layers, outputs).read(outputs).values()
    return rows


@pytest.mark.parametrize("is_flat", [False, True], ids=["images", "vectors"])
@pytest.mark.parametrize("rows", [1, 6])
def test_a_row_has_the_statistics_of_all_its_entries(is_flat: bool, rows: int) -> None:
    torch.manual_seed(0)
    network = Frames(is_flat)
    bundle = imported(network)
    x = inputs(is_flat, rows)

    found = observed(bundle, x)
    mean, mean_square = in_torch(network, x)

    (layer,) = bundle.manifest.norm_layers
    assert (layer.several_per_row, layer.unwatched) == (True, None)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.mean_square, mean_square, rtol=1e-4, atol=1e-5)
    others, _ = in_torch(network, x.roll(1, 1) + 0.01)
    assert np.abs(found.mean - others).max() > 1e-3
    assert bundle.manifest.drift is not None


def test_entries_that_are_not_beside_those_of_their_row_are_not_watched() -> None:
    torch.manual_seed(0)

    (layer,) = imported(Frames(is_flat=False, is_time_first=True)).manifest.norm_layers

    assert "12 statistics" in (layer.unwatched or "")
    assert "depend on the other rows" in (layer.unwatched or "")
    assert layer.several_per_row is None


def test_a_layer_whose_means_are_far_from_0_is_not_watched() -> None:
    """Mean squares in float32 would lose the digits of its variance."""
    torch.manual_seed(0)

    (layer,) = imported(Frames(is_flat=False, offset=50.0)).manifest.norm_layers

    assert layer.unwatched is not None
    assert "means are far from 0" in layer.unwatched
    assert layer.several_per_row is None
