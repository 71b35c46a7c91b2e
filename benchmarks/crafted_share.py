"""Whether crafted rows of one client keep a shift from being mended, by their share of all rows.

    python -m benchmarks.crafted_share --data-dir data/mnist

256 rows of MNIST test images under a shift, of which a share is one random image, repeated. Prints the accuracy before
and after on other images under the shift, and the gates that refuse the new version.
"""

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.bundles import held_out_rows
from benchmarks.cases import Data
from benchmarks.corruptions import corrupt
from benchmarks.mnist_models import STARTERS
from models import starter
from models.graph.adapt import restate
from models.graph.load import parse, serialize
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.recalibration.evaluation import Estimation, evaluate
from models.runtime.load import load

SHIFTS = ("noise", "brightness", "contrast")
SEVERITY = 3
SHARES = (0.0, 0.1, 0.25, 0.5)
ROWS, MEASURED = 256, 500


def measure(name: str, data: Data) -> None:
    parent = starter.read(name)
    (spec,) = parent.manifest.inputs
    output, shape = parent.manifest.outputs[0].name, (-1, *spec.shape[1:])
    source = parse(parent.source)
    network = AdaptiveNetwork(source)
    estimator = AccuracyEstimator.calibrate(parent.manifest, network, held_out_rows(parent))
    for shift, share in product(SHIFTS, SHARES):
        images = corrupt(data.pool[:ROWS], shift, SEVERITY, seed=1)
        images[: int(share * ROWS)] = np.random.default_rng(0).random((1, 1, 28, 28)) > 0.5
        rows = {spec.name: images.reshape(shape)}
        before, after = network.run(rows, 1.0), network.run(rows)
        candidate = replace(parent, folded=serialize(restate(source, after.mixed)))
        found = evaluate(parent, candidate, Estimation(rows, network, before, after), estimator=estimator)
        measured = {spec.name: corrupt(data.clean, shift, SEVERITY, seed=2).reshape(shape)}
        old, new = (
            100 * np.mean(load(bundle.folded, optimize=True)(measured)[output].argmax(1) == data.labels)
            for bundle in (parent, candidate)
        )
        failed = ", ".join(gate.name for gate in found.gates if not gate.passed) or "published"
        print(f"{name}, {shift}, {share:.0%} crafted: {old:.1f} -> {new:.1f} {failed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    data = Data(parser.parse_args().data_dir, MEASURED)
    for name in STARTERS:
        measure(name, data)


if __name__ == "__main__":
    main()
