"""Half clean and half shifted rows, each answered by the version whose statistics it fits: what that could gain.

    python -m benchmarks.domains --data-dir data/mnist [--model mlp convnet]

A version is re-calibrated from 256 rows of a shift, gates aside. A row goes to it if its drift score there is at most 1
and lower than with the parent, else to the parent. The service does not route rows; a client can, by the scores that
`layer_statistics` returns. Prints the accuracy on both halves: of the parent alone, of the version alone, routed, and
with the better of the two for each half.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.auto.__main__ import MODELS, make_pool
from benchmarks.auto.week import Images
from models import starter
from models.drift.detector import Detector
from models.observation import ObservationReader
from models.recalibration.estimate import recalibrate
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load

SHIFTS = (
    *("shot noise 1", "motion blur 2", "spatter 2", "vignette 2"),
    *("speckle 2", "quantize 2", "stripe 1", "pixelate 1"),
)
ROWS = 256
MEASURED = slice(1000, 1500)
TITLES = ("parent", "version", "routed", "better of both")


def answer(bundle: Bundle, images: Images) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Predicted classes and drift scores of images, shape (n,) each."""
    (spec,) = bundle.manifest.inputs
    outputs = load(bundle.observed, optimize=True)({spec.name: images.reshape(-1, *spec.shape[1:])})
    observed = ObservationReader(bundle.manifest.layers, outputs).read(outputs)
    scores, _ = Detector(bundle.manifest.drift).row_scores(observed)
    return outputs[bundle.manifest.outputs[0].name].argmax(axis=1), scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=MODELS, nargs="+", default=MODELS)
    options = parser.parse_args()
    pool = make_pool(options.data_dir)
    labels = pool.labels[MEASURED]
    for name in options.model:
        parent = Repository(Path(starter.__file__).parent).read(name, 1)
        (spec,) = parent.manifest.inputs
        found = []
        for shift in SHIFTS:
            images = pool.images(shift)
            rows = {spec.name: images[:ROWS].reshape(-1, *spec.shape[1:])}
            version = recalibrate(parent, 1, rows, with_accuracy=False).bundle
            halves = []
            for half in (pool.clean[MEASURED], images[MEASURED]):
                (old, usual), (new, scores) = answer(parent, half), answer(version, half)
                routed = np.where((scores < usual) & (scores <= 1), new, old)
                right = [np.mean(predicted == labels) for predicted in (old, new, routed)]
                halves.append([*right, max(right[:2])])
            found.append(100 * np.mean(halves, axis=0))
            print(name, shift, *(f"{title} {one:.1f}" for title, one in zip(TITLES, found[-1], strict=True)), sep=", ")
        mean = np.mean(found, axis=0)
        print(name, "mean", *(f"{title} {one:.1f}" for title, one in zip(TITLES, mean, strict=True)), sep=", ")


if __name__ == "__main__":
    main()
