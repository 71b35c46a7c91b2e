"""What the layer `image` finds in photographs: pieces of the two that come with scikit-learn, which are not centred.

    python -m benchmarks.photographs --write docs/drift.md

The network has two convolutions with random weights, each with batch normalisation whose statistics are those of other
pieces, and reads 48 x 48 pixels in colour. The conditions are `benchmarks.unseen_corruptions`, and mirrored pieces.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from benchmarks import unseen_corruptions
from benchmarks.drift.rows import Images, Model
from benchmarks.image import FOUND, SIZES, significant
from benchmarks.pages import write_between
from models.drift.detector import Detector
from models.repository.repository import Repository
from training.publishing import publish

SIDE = 48
TRAINED_ON, HELD_OUT, UNDISTURBED, DISTURBED = 2000, 2000, 2000, 600


def pieces(count: int, random: np.random.Generator) -> Images:
    """Random pieces of both photographs, shape (count, 3, 48, 48), 0 to 1."""
    photographs = [np.moveaxis(photograph, 2, 0) / np.float32(255) for photograph in load_sample_images().images]
    found = np.empty((count, 3, SIDE, SIDE), np.float32)
    for piece in found:
        photograph = photographs[random.integers(len(photographs))]
        top, left = (random.integers(size - SIDE) for size in photograph.shape[1:])
        piece[:] = photograph[:, top : top + SIDE, left : left + SIDE]
    return found


def network(images: Images) -> nn.Module:
    """Random weights, and the statistics of these images."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32)):
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(after, momentum=None), nn.ReLU(), nn.MaxPool2d(2)]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    with torch.no_grad():
        module(torch.from_numpy(images))
    return module.eval()


def conditions(clean: Images) -> Mapping[str, Callable[[], Images]]:
    """How the pieces are disturbed, by name."""
    return unseen_corruptions.conditions(clean) | {
        "left to right": lambda: clean[..., ::-1],
        "upside down": lambda: clean[:, :, ::-1],
    }


def measure() -> Iterator[tuple[str, list[float]]]:
    """Yields each condition, and the share of significant windows of each size, without the layer and with it."""
    random = np.random.default_rng(0)
    module = network(pieces(TRAINED_ON, random))
    held_out, others, disturbed = (pieces(count, random) for count in (HELD_OUT, UNDISTURBED, DISTURBED))
    models = []
    for watch_image in (False, True):
        with tempfile.TemporaryDirectory() as repository:
            publish(
                module,
                torch.from_numpy(held_out[:2]),
                name="pieces",
                reference_rows=held_out,
                watch_image=watch_image,
                repository=repository,
            )
            models.append(Model.of(Repository(Path(repository)).read("pieces", 1)))

    def shares(images: Images) -> list[float]:
        by_model = (significant(Detector(model.reference), model.observe(images)) for model in models)
        return [share for of_size in zip(*by_model, strict=True) for share in of_size]

    yield "undisturbed", shares(others)
    for name, disturb in conditions(disturbed).items():
        yield name, shares(disturb())


def table(found: Mapping[str, list[float]]) -> str:
    """The conditions that are not found in nearly all windows of 64 rows."""
    lines = ["| | " + " | ".join(f"{size} rows | with `image`" for size in SIZES) + " |", "|---|---|---|---|---|"]
    shown = [name for name, shares in found.items() if name == "undisturbed" or min(shares[2:]) < FOUND]
    lines += [f"| {name} | " + " | ".join(f"{share:.0%}" for share in found[name]) + " |" for name in shown]
    rest = np.mean([shares for name, shares in found.items() if name not in shown], axis=0)
    return "\n".join([*lines, f"| {len(found) - len(shown)} others | {' | '.join(f'{one:.0%}' for one in rest)} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="page to put the table into")
    options = parser.parse_args()
    text = table(dict(measure()))
    print(text)
    if options.write:
        write_between(options.write, "drift_photographs", text)


if __name__ == "__main__":
    main()
