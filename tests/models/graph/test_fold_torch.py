"""What torch exports folds completely, and still computes what torch computes."""

import logging
import warnings

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from models.graph.fold import fold
from models.graph.load import parse
from tests.models.graph.oracle import error, runtime


class Block(nn.Module):
    """A residual block; its sum is normalised too."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after))
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return self.bn(inner + self.shortcut(x)).relu()


class Network(nn.Module):
    """Batch normalisation wherever one can put it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, groups=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.AvgPool2d(2), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2))
        self.up = nn.Sequential(nn.ConvTranspose2d(16, 8, 2, 2, groups=2), nn.BatchNorm2d(8), nn.ReLU())
        self.before_conv = nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.mix = nn.Linear(8, 12)
        self.over_length = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(12, 10), nn.Dropout(), nn.BatchNorm1d(10, affine=False), nn.ReLU())
        self.last = nn.Sequential(nn.BatchNorm1d(10, eps=1e-3), nn.Linear(10, 5))

    def forward(self, x: Tensor) -> Tensor:
        features = self.before_conv(self.up(self.blocks(self.depthwise(self.stem(x))))).flatten(1)
        return self.last(self.head(self.over_length(self.mix(features).unflatten(1, (3, 4)))))


def network() -> Network:
    torch.manual_seed(0)
    model = Network().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, -2, 2)
                nn.init.uniform_(module.bias, -1, 1)
    return model


def export(model: nn.Module, example: Tensor) -> dict[str, onnx.ModelProto]:
    """As torch's exporter leaves the graph, and with constants folded."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about torch's own
        batch = torch.export.Dim("batch")
        program = torch.onnx.export(
            model, (example,), dynamo=True, optimize=False, dynamic_shapes=({0: batch},), verbose=False
        )
        assert program is not None
        raw = parse(program.model_proto.SerializeToString())
        cleaned = onnx_ir.from_proto(program.model_proto)
        optimizer.fold_constants(cleaned)
        optimizer.remove_unused_nodes(cleaned)
    return {"raw": raw, "cleaned": parse(onnx_ir.to_proto(cleaned).SerializeToString())}


@pytest.fixture(scope="module")
def exports() -> dict[str, onnx.ModelProto]:
    return export(network(), torch.zeros(2, 3, 16, 16))


@pytest.fixture(params=["cleaned", "raw"])
def exported(exports: dict[str, onnx.ModelProto], request: pytest.FixtureRequest) -> onnx.ModelProto:
    return exports[request.param]


def test_every_layer_folds_under_its_own_name(exported: onnx.ModelProto) -> None:
    names = {name for name, module in network().named_modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)}
    layers = fold(exported).norm_layers

    assert names == {layer.name for layer in layers}
    assert [(layer.name, layer.placement.reason) for layer in layers if layer.placement.kind == "kept"] == []


@pytest.mark.parametrize("rows", [1, 3, 17])
def test_the_folded_graph_computes_what_torch_computes(exported: onnx.ModelProto, rows: int) -> None:
    x = torch.randn(rows, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network().double()(x.double()).numpy()
    folded = fold(exported).model
    output = folded.graph.output[0].name
    actual = runtime(folded, {folded.graph.input[0].name: x.numpy()}, [output])[output]

    assert error(expected, actual.astype(np.float64)) < 1e-5
