"""How good a generator's images are: python -m benchmarks.generation BUNDLE CHECKPOINT [DATA].

BUNDLE is a version of dcgan that was trained on MNIST, CHECKPOINT that of its run. The classifier is the starter model
`convnet`, which was trained on MNIST too, and has an accuracy of 99.4 % there. 2,000 images of all classes are drawn:
by the published generator, and by the network of the checkpoint in evaluation and training mode. The last column is the
mean difference of their pixels, of 255, from the published ones of the same noise. DATA is a folder with MNIST: its
test images and noise are what the figures are compared with.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.classification import softmax
from models.generation import LatentSampler, to_pixels
from models.manifest import ImagePreprocessing
from models.preprocessing import prepare_pixels
from models.repository import bundle as bundles
from models.repository.repository import Repository
from models.runtime.engine import Engine
from training import checkpoint
from training.data import mnist
from training.networks.dcgan import DCGAN

COUNT, SEED = 2000, 0
CONFIDENT = 0.9
STARTERS = Path("models/starter")


class Judge:
    """The classifier: prints what it finds in images, float, as the generator puts them out."""

    def __init__(self, image: ImagePreprocessing) -> None:
        bundle = Repository(STARTERS).read("convnet", 1)
        self._engine = Engine(bundle.folded, bundle.manifest.inputs)
        assert bundle.manifest.preprocessing is not None
        self._preprocessing = bundle.manifest.preprocessing
        self._image = image

    def print(
        self, name: str, values: NDArray[Any], wanted: NDArray[np.int64], published: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """One line: images are rounded to pixels before, and compared with the published ones of the same noise."""
        pixels = to_pixels(values, self._image)
        rows = prepare_pixels(pixels, self._preprocessing)
        found = softmax(self._engine.run({"input": rows})["logits"].astype(np.float64))
        classes, confidence = found.argmax(axis=1), found.max(axis=1)
        share = np.bincount(classes, minlength=10) / len(classes)
        entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
        confident = (confidence >= CONFIDENT).mean()
        agree = (classes == wanted).mean()
        moved = "" if published is None else f"{np.abs(pixels.astype(float) - published).mean():8.2f}"
        print(f"{name:44} {confident:9.1%} {agree:8.1%} {(share > 0).sum():7} {entropy:8.3f} {moved:>8}")
        return pixels


@torch.no_grad()
def in_batches(generator: nn.Module, rows: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The generator's images of these rows, `size` at a time."""
    return torch.cat([generator(batch) for batch in torch.split(torch.from_numpy(rows), size)]).numpy()


def main(folder: str, path: str, data_folder: str | None = None) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    bundle = bundles.read(Path(folder))
    generation = bundle.manifest.generation
    assert generation is not None
    sampler = LatentSampler(generation, bundle.manifest.inputs[0])
    rows, wanted = sampler.draw(SEED, COUNT), np.arange(COUNT) % 10
    by_class = np.argsort(wanted, kind="stable")
    found = checkpoint.read(Path(path))
    network = DCGAN((1, 28, 28), 10, found.config.depth, found.config.width)
    found.restore_network(network)
    judge = Judge(generation.image)
    print(f"{COUNT} images, noise of seed {SEED}; entropy of ten equal classes: {np.log(10):.3f}")
    print(f"{'images':44} {f'>= {CONFIDENT:.0%}':>9} {'as asked':>8} {'classes':>7} {'entropy':>8} {'pixels':>8}")
    engine = Engine(bundle.folded, bundle.manifest.inputs)
    published = judge.print("published, folded", engine.run({"latents": rows})["images"], wanted)
    averaged = in_batches(network.generator.eval(), rows, 100)
    judge.print("evaluation mode, running averages", averaged, wanted, published)
    generator = network.generator.train()
    for size in (100, 10, 1):
        made = in_batches(generator, rows, size)
        judge.print(f"training mode, batches of {size}", made, wanted, published)
    made = in_batches(generator, rows[by_class], 100)
    judge.print("training mode, batches of 100 of one class", made, wanted[by_class], published[by_class])
    noise = np.random.default_rng(SEED).uniform(-1, 1, (COUNT, 1, 28, 28))
    judge.print("noise", noise, wanted)
    if data_folder is not None:
        data = mnist.load(Path(data_folder))
        judge.print("MNIST, test images", data.test_rows * 2 - 1, data.test_labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
