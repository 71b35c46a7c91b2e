"""Trains a small network, by itself or started by torchrun, and writes what came out: python joint_training.py FILE."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training import loop, population, processes
from training.processes import Processes

ROWS = 67
"""In batches of 32, the last has three rows: one for each of three processes."""


class OnlyGradients(processes.ProcessGroup):
    """Averages gradients, and leaves each layer with the statistics of its own process's rows."""

    def parallel(self, network: nn.Module) -> nn.Module:
        return DistributedDataParallel(network, forward_sync_buffers=False)


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.BatchNorm1d(8, momentum=None),
        nn.ReLU(),
        nn.Linear(8, 3),
    ).double()


def train(group: Processes, count: int = ROWS) -> dict[str, Tensor]:
    """Parameters and statistics of the network after two epochs and the estimate of population statistics."""
    network = build()
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(count, 2, 5, 5, generator=generator, dtype=torch.float64) * 2 + 1
    labels = torch.randint(3, (count,), generator=generator)
    parallel = group.parallel(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    losses = [
        loop.train_epoch(parallel, optimizer, rows, labels, batch_size=32, learning_rate=lambda _: 0.1, processes=group)
        for _ in range(2)
    ]
    trained = {f"trained.{name}": tensor.clone() for name, tensor in network.state_dict().items()}
    population.store_statistics(network, rows.tensor_split(5), group)
    return trained | {"losses": torch.tensor(losses)} | network.state_dict()


def main(file: Path) -> None:
    torch.set_num_threads(1)
    with processes.join() as group:
        save_file(train(group), file.with_name(f"{file.name}.{group.rank}"))
        if group.count > 1:
            save_file(train(OnlyGradients(), 64), file.with_name(f"{file.name}.apart.{group.rank}"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
