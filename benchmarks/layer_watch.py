"""What watching the layers costs in training: python -m benchmarks.layer_watch.

Epochs of 512 digits, batches of 32, in turn with and without; the watched ones write the file for TensorBoard. Seconds
are those of the process's processor time, medians of 15 epochs.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.optim import Adam

from training import loop
from training.config import Config
from training.data import digits
from training.event_file import EventFile
from training.layer_watch import LayerWatch
from training.networks.build import build
from training.processes import BatchNorm
from training.run import Rows

ROWS, BATCH, EPOCHS = 512, 32, 15


def epoch(network: nn.Module, optimizer: Adam, rows: Rows, on_step: Callable[[], object]) -> float:
    """Processor time of a step, in ms."""
    start = time.process_time()
    loop.train_epoch(
        network,
        optimizer,
        rows.train[:ROWS],
        rows.train_labels[:ROWS],
        batch_size=BATCH,
        learning_rate=lambda _: 0.001,
        on_step=on_step,
    )
    return (time.process_time() - start) / (ROWS // BATCH) * 1000


def main() -> None:
    torch.set_num_threads(1)
    data = digits.load()
    print(f"{'network':10} {'layers':>6} {'ms a step':>10} {'watched':>10} {'more':>7} {'bytes a step and layer':>24}")
    for model in ("mlp", "convnet", "resnet"):
        config = Config(model, "digits")
        network, rows = build(config, data), Rows.of(config, data)
        optimizer = Adam(network.parameters())
        layers = sum(isinstance(module, BatchNorm) for module in network.modules())
        plain: list[float] = []
        watched: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            with EventFile(Path(folder), 0, LayerWatch.names) as events:
                watch = LayerWatch(network, EPOCHS * ROWS // BATCH, events.write)
                for _ in range(EPOCHS):
                    plain.append(epoch(network, optimizer, rows, lambda: None))
                    watch.resume(len(watched) * ROWS // BATCH, watch.tensors())
                    watched.append(epoch(network, optimizer, rows, watch.record))
            size = sum(path.stat().st_size for path in Path(folder).rglob("*events*"))
        without, with_it = statistics.median(plain), statistics.median(watched)
        steps = EPOCHS * ROWS // BATCH
        print(
            f"{model:10} {layers:6} {without:10.2f} {with_it:10.2f} {with_it / without - 1:7.1%}"
            f" {size / steps / layers:24.0f}"
        )


if __name__ == "__main__":
    main()
