"""Train a network by your own loop and publish it by one call.

    python examples/pytorch/mnist.py --data-dir data/mnist

The network is linear 64, batch normalisation, ReLU, linear 10; Adam, 5 epochs, batches of 32.
Then `denge serve` serves it.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from training import publish
from training.data.load import load


def network() -> nn.Module:
    """The network: rows of 784 pixels from 0 to 1 in, a logit for each digit out."""
    return nn.Sequential(nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


def train(model: nn.Module, rows: Tensor, classes: Tensor, epochs: int) -> None:
    """Adam on batches of 32. A last batch of one row, which has no variance, is left out."""
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(rows)).split(32):
            if len(batch) > 1:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(rows[batch]), classes[batch]).backward()
                optimizer.step()
    model.eval()


def main(arguments: list[str] | None = None) -> int:
    """Train, test and publish; returns the version."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--data", choices=["mnist", "digits"], default="mnist")
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repository", type=Path, default=Path("repository"))
    options = parser.parse_args(arguments)

    torch.manual_seed(0)
    data = load(options.data, options.data_dir)
    train_rows, test_rows = (
        torch.from_numpy(data.prepare(images)).flatten(1) for images in (data.train_images, data.test_images)
    )
    model = network()
    train(model, train_rows, torch.from_numpy(data.train_labels), options.epochs)
    with torch.no_grad():
        correct = model(test_rows).argmax(1) == torch.from_numpy(data.test_labels)
    print(f"test accuracy {correct.double().mean():.2%}")

    version = publish(
        model,
        test_rows[:2],
        name="pytorch-mnist",
        reference_rows=test_rows,
        labels=data.class_names,
        preprocessing=data.preprocessing,
        output_names=["logits"],
        repository=options.repository,
    )
    print(f"published pytorch-mnist version {version}")
    return version


if __name__ == "__main__":
    main()
