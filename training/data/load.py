"""Data sets by name."""

from pathlib import Path

from training.config import DataKind
from training.data import digits, mnist
from training.data.dataset import Dataset


def load(name: DataKind, folder: Path) -> Dataset:
    """Load a data set.

    Args:
        name: which one.
        folder: with the files of MNIST.

    Raises:
        InvalidInput: its files cannot be fetched, or have other contents.
    """
    match name:
        case "digits":
            return digits.load()
        case "mnist":
            return mnist.load(folder)
