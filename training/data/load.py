"""Data sets by name."""

from pathlib import Path

from training.config import DataKind
from training.data import digits, mnist, rt_polarity, table
from training.data.dataset import Dataset


def load(name: DataKind, folder: Path | None) -> Dataset:
    """Load a data set.

    Args:
        name: which one.
        folder: with its files, or for "table" the file itself; data/<name> by default.

    Raises:
        InvalidInput: its files are missing, cannot be fetched, or have other contents.
    """
    folder = folder or Path("data") / name
    match name:
        case "digits":
            return digits.load()
        case "mnist":
            return mnist.load(folder)
        case "rt-polarity":
            return rt_polarity.load(folder)
        case "table":
            return table.load(folder)
