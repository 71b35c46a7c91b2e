"""The accuracy by confidence-based performance estimation (CBPE), as NannyML has it, on the cases of `signs`.

    python -m benchmarks.cbpe --data-dir data/mnist --model mlp [--nannyml PYTHON]
    python -m benchmarks.signs --write docs

The probability that a network gives to a class is calibrated by isotonic regression, one class against the others, on
5,000 labelled test images, and scaled to a sum of one over classes. The estimate is the mean over rows of the
calibrated probability of the predicted class. Estimates are kept in benchmarks/results/cbpe_<model>.json. `--nannyml`
is an interpreter that has nannyml: then its own CBPE estimates from the same probabilities too, each case as one chunk.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.isotonic import IsotonicRegression

from benchmarks.cases import MEASURED, Data, cases
from benchmarks.drift.rows import TestImages
from benchmarks.mnist_models import STARTERS
from models import starter
from models.batchnorm import Float64
from models.classification import probabilities
from models.runtime.load import load

RESULTS = Path(__file__).parent / "results"


class Cbpe:
    """Calibrated probabilities of classes.

    Args:
        given: by the network for labelled rows, shape (n, K).
        labels: shape (n,).
    """

    def __init__(self, given: Float64, labels: np.ndarray) -> None:
        self._classes = [
            IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(of_class, labels == number)
            for number, of_class in enumerate(given.T)
        ]

    def estimate(self, given: Float64) -> float:
        """The accuracy on rows."""
        calibrated = np.column_stack([fit.predict(column) for fit, column in zip(self._classes, given.T, strict=True)])
        calibrated /= np.maximum(calibrated.sum(axis=1, keepdims=True), 1e-9)
        return float(calibrated[np.arange(len(given)), given.argmax(axis=1)].mean())


def measure(name: str, folder: Path, nannyml: Path | None) -> dict[str, dict[str, float]]:
    parent = starter.read(name)
    (spec,) = parent.manifest.inputs
    run, output = load(parent.folded, optimize=True), parent.manifest.outputs[0].name

    def give(rows: np.ndarray) -> Float64:
        scores = run({spec.name: np.ascontiguousarray(rows.reshape(-1, *spec.shape[1:]))})[output]
        return probabilities(scores, parent.manifest.scores)

    images = TestImages(folder)
    reference, labels = give(images.images[images.reference]), images.labels[images.reference]
    chosen = [case for case in cases(Data(folder, MEASURED)) if case.group in ("corruption", "clean")]
    given, cbpe = [give(case.rows) for case in chosen], Cbpe(reference, labels)
    found = {case.name: {"cbpe": cbpe.estimate(one)} for case, one in zip(chosen, given, strict=True)}
    if nannyml is not None:
        for case, estimate in zip(chosen, _ask_nannyml(nannyml, reference, labels, np.stack(given)), strict=True):
            found[case.name]["nannyml"] = estimate
    return found


def _ask_nannyml(python: Path, reference: Float64, labels: np.ndarray, given: Float64) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probabilities.npz"
        np.savez(path, reference=reference, labels=labels, cases=given)
        script = Path(__file__).parent / "nannyml_cbpe.py"
        done = subprocess.run([python, script, path], check=True, capture_output=True, text=True)
        return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data/mnist"))
    parser.add_argument("--model", choices=STARTERS, required=True)
    parser.add_argument("--nannyml", type=Path, help="interpreter that has nannyml")
    options = parser.parse_args()
    found = measure(options.model, options.data_dir, options.nannyml)
    (RESULTS / f"cbpe_{options.model}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
