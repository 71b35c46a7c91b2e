"""The models of MNIST that commands measure, and the options of a command that measures one of them."""

import argparse
from collections.abc import Collection
from pathlib import Path

from models import starter
from models.repository.bundle import Bundle
from models.repository.repository import Repository

STARTERS = ("mlp", "convnet")
MODELS = (*STARTERS, "resnet")
"""The starters, and the network that `benchmarks.signs` says how to train."""


def read_model(name: str, resnet: Path | None) -> Bundle:
    """A starter, or "resnet" of a repository."""
    if name != "resnet":
        return starter.read(name)
    if resnet is None:
        raise SystemExit("resnet is no starter: give its repository with --resnet")
    return Repository(resnet).read(name, 1)


def add_options(
    parser: argparse.ArgumentParser,
    models: Collection[str] = MODELS,
    sets: Collection[str] = (),
    use: str = "to measure",
) -> None:
    """Add `--data-dir`, `--model` and `--resnet`, and `--set` where there are several.

    Args:
        parser: of the command.
        models: that can be chosen.
        sets: of corruptions, "unseen" among them.
        use: of the model.
    """
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=models, help=use)
    parser.add_argument("--resnet", type=Path, help="repository with the model 'resnet'")
    if sets:
        parser.add_argument("--set", choices=sets, default="unseen", help="of corruptions and foreign rows")
