"""The networks that are served: random weights, and the statistics that random rows have in them.

python -m benchmarks.service.networks FOLDER    writes FOLDER/repository for Denge, FOLDER/<model>.onnx for the limits
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

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
from training.networks.resnet import ResNet

SEED = 0
CALIBRATION_ROWS = 256


def resnet18() -> ResNet:
    return ResNet(3, 10, depth=18, width=64)


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
    publish(folder, "convnet", ConvNet((1, 28, 28), 10))
    publish(folder, "resnet18", resnet18())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
