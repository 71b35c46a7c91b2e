"""The networks that are served: random weights, and the statistics that random rows have in them.

python -m benchmarks.service.networks FOLDER    writes FOLDER/repository for Denge, FOLDER/<model>.onnx for the limits
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.service.cases import ROW_SHAPES
from models.assemble import assemble, signed_lineage
from models.graph.load import parse, serialize
from models.model_info import ModelInfo
from models.repository import held_out
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from training import population
from training.export import export
from training.networks.convnet import ConvNet
from training.networks.mlp import MLP

SEED = 0
CALIBRATION_ROWS = 256


class ResNet18(nn.Module):
    """ResNet-18 of He, Zhang, Ren & Sun (2016), with the stem usual for 32 x 32 images: 3 x 3, no pooling."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        widths = [(64, 64), (64, 128), (128, 256), (256, 512)]
        self.blocks = nn.Sequential(*(block for pair in widths for block in self._stage(*pair)))
        self.output = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.norm(self.conv(x)).relu())  # (N, 512, 4, 4)
        return self.output(x.mean(dim=(2, 3)))

    @staticmethod
    def _stage(num_inputs: int, width: int) -> Iterator[nn.Module]:
        yield Block(num_inputs, width)
        yield Block(width, width)


class Block(nn.Module):
    def __init__(self, num_inputs: int, width: int) -> None:
        super().__init__()
        changes = num_inputs != width
        self.conv1 = nn.Conv2d(num_inputs, width, kernel_size=3, stride=1 + changes, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if changes:
            projection = nn.Conv2d(num_inputs, width, kernel_size=1, stride=2, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()


def make_bundle(name: str, network: nn.Module, shape: Sequence[int], real_rows: int = 8) -> Bundle:
    """Store the statistics of random rows in a network, fold it, and compare with torch in float64.

    Args:
        name: of the model.
        network: with one input.
        shape: of a row.
        real_rows: rows for the comparison, which are held-out rows as well.
    """
    rows = torch.rand(CALIBRATION_ROWS, *shape)
    population.store_statistics(network.eval(), population.batches(rows))
    exported = export(network, rows[:2], input_names=["input"], output_names=["logits"])
    real = {"input": rows[:real_rows].numpy()}
    return assemble(
        exported.graph,
        ModelInfo(name),
        signed_lineage("trained"),
        oracle=exported.oracle,
        rows=real,
        held_out=held_out.keep(real),
    )


def publish(folder: Path, name: str, network: nn.Module) -> None:
    """Write the one folded graph for both sides."""
    bundle = make_bundle(name, network, ROW_SHAPES[name])
    Repository(folder / "repository").publish(bundle)
    (folder / f"{name}.onnx").write_bytes(serialize(parse(bundle.folded)))


def main(folder: Path) -> None:
    torch.manual_seed(SEED)
    publish(folder, "mlp", MLP(784, 10, depth=2, width=512))
    publish(folder, "convnet", ConvNet(ROW_SHAPES["convnet"], 10))
    publish(folder, "resnet18", ResNet18())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
