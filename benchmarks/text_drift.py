"""What moves the statistics of a network for texts: python -m benchmarks.text_drift BUNDLE DATA.

BUNDLE is a version of textcnn, DATA the folder of rt-polarity that it was trained on. Half of the held-out sentences
set thresholds; windows of 64 rows of the other half are judged by them, as they are and changed.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.bundles import observed
from benchmarks.drift.rows import Indices
from models.classification import count_classes, predicted_classes
from models.drift import calibration
from models.drift.detector import Detector
from models.moments.window import WindowMoments
from models.observation import ObservationReader, RowStatistics
from models.repository import bundle as bundles
from models.runtime.engine import Engine
from models.tokenization import UNKNOWN
from training.data import rt_polarity

ROWS, WINDOWS = 64, 200


def take(found: Mapping[str, RowStatistics], chosen: Indices) -> dict[str, RowStatistics]:
    return {name: rows.take(chosen) for name, rows in found.items()}


def length(row: Indices) -> int:
    """The period of a row: a text that fills it is repeated."""
    return next((n for n in range(1, len(row)) if np.array_equal(row, np.resize(row[:n], len(row)))), len(row))


def main(folder: str, data_folder: str) -> None:
    bundle, data = bundles.read(Path(folder)), rt_polarity.load(Path(data_folder))
    engine = Engine(observed(bundle), bundle.manifest.inputs)
    reader = ObservationReader(bundle.manifest.layers, engine.output_names)
    rows, labels = data.test_rows, data.test_labels
    generator = np.random.default_rng(0)
    order = generator.permutation(len(rows))
    calibrating, rest = order[: len(rows) // 2], order[len(rows) // 2 :]
    lengths = np.array([length(row) for row in rows])
    scrambled = np.stack(
        [np.resize(generator.permutation(row[:n]), len(row)) for row, n in zip(rows, lengths, strict=True)]
    )
    dropped = np.where(generator.random(rows.shape) < 0.3, UNKNOWN, rows)
    cases = {
        "held out": (rows, rest),
        "at most 12 words": (rows, rest[lengths[rest] <= 12]),
        "30 words or more": (rows, rest[lengths[rest] >= 30]),
        "words in random order": (scrambled, rest),
        "30 % of the words unknown": (dropped, rest),
    }
    outputs = engine.run({"input": rows})
    predicted = predicted_classes(outputs["logits"][calibrating])
    detector = Detector(calibration.estimate(take(reader.read(outputs), calibrating), predicted, 2))
    print(f"case, rows, accuracy, alarms of {WINDOWS}, symmetric KL")
    for name, (given, chosen) in cases.items():
        outputs = engine.run({"input": given})
        found, classes = reader.read(outputs), predicted_classes(outputs["logits"])
        alarms, sizes = 0, []
        for _ in range(WINDOWS):
            drawn = generator.choice(chosen, ROWS)
            window = {layer: WindowMoments.of(part) for layer, part in take(found, drawn).items()}
            assessment = detector.assess(window, count_classes(classes[drawn], 2))
            alarms += assessment.alarm
            sizes.append(assessment.symmetric_kl)
        accuracy = (classes[chosen] == labels[chosen]).mean()
        print(f"{name:26} {len(chosen):5} {accuracy:7.1%} {alarms:5} {np.mean(sizes):8.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
