"""Data sets by name."""

from pathlib import Path

from training.config import DataKind
from training.data import digits, mnist
from training.data.dataset import Dataset


def load(name: DataKind, folder: Path) -> Dataset:
    """Load a data set.

    Args:
        name: which one.
        folder: where the files of those are that do not come with a library.

    Raises:
        InvalidInput: its files are missing or not what they should be.
    """
    match name:
        case "digits":
            return digits.load()
        case "mnist":
            return mnist.load(folder)
