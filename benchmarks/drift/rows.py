"""MNIST test images as a starter model's layers meet them; those that set its thresholds kept apart from the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bundles import observed, reference
from models import starter
from models.classification import predicted_classes
from models.drift.assessment import Assessment
from models.moments.window import WindowMoments
from models.observation import ObservationReader, RowStatistics
from models.reference import sample_rows
from models.repository.bundle import Bundle
from models.runtime.load import load
from training.data import mnist

_BATCH_ROWS = 250

Images = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Some rows in the layers of a model.

    Attributes:
        layers: by name.
        logits: shape (rows, K).
    """

    layers: Mapping[str, RowStatistics]
    logits: NDArray[np.float32]

    @property
    def predicted(self) -> Indices:
        return predicted_classes(self.logits)

    def take(self, chosen: Indices) -> "Rows":
        return Rows({name: rows.take(chosen) for name, rows in self.layers.items()}, self.logits[chosen])

    def window(self) -> tuple[dict[str, WindowMoments], Indices]:
        """What `models.drift.detector.Detector.assess` takes."""
        moments = {name: WindowMoments.of(rows) for name, rows in self.layers.items()}
        return moments, np.bincount(self.predicted, minlength=self.logits.shape[1])


class Model:
    """A starter model, by its name, or any other one (`of`)."""

    def __init__(self, name: str, bundle: Bundle | None = None) -> None:
        self.name = name
        self.bundle = starter.read(name) if bundle is None else bundle
        self.manifest = self.bundle.manifest
        self.reference = reference(self.bundle)
        self._run = load(observed(self.bundle), optimize=True)

    @classmethod
    def of(cls, bundle: Bundle) -> "Model":
        """The model of a bundle."""
        return cls(bundle.manifest.model, bundle)

    def observe(self, images: Images) -> Rows:
        """The rows of images as the network takes them, shape (N, 1, 28, 28)."""
        (spec,) = self.manifest.inputs
        parts = []
        for start in range(0, len(images), _BATCH_ROWS):
            part = np.ascontiguousarray(images[start : start + _BATCH_ROWS], np.float32)
            outputs = self._run({spec.name: part.reshape(-1, *spec.shape[1:])})
            layers = ObservationReader(self.manifest.layers, outputs).read(outputs)
            parts.append(Rows(layers, outputs[self.manifest.outputs[0].name]))
        return joined(parts)


def joined(parts: list[Rows]) -> Rows:
    names = parts[0].layers
    return Rows(
        {name: RowStatistics.concatenate([part.layers[name] for part in parts]) for name in names},
        np.concatenate([part.logits for part in parts]),
    )


class TestImages:
    """The 10,000 test images of MNIST.

    Attributes:
        raw: shape (N, 1, 28, 28), 0 to 255.
        images: as the networks take them.
        labels: shape (N,).
        reference: indices of those that set the starters' thresholds.
        others: of the rest.
    """

    __test__ = False

    def __init__(self, folder: Path) -> None:
        data = mnist.load(folder)
        self.raw = data.test_images
        self.images = data.prepare(data.test_images)
        self.labels = data.test_labels
        self.reference = sample_rows(len(self.images))
        self.others = np.setdiff1d(np.arange(len(self.images)), self.reference)


def significance(assessment: Assessment) -> float:
    """The statistic over all layers, relative to its threshold: above 1 it is significant."""
    assert assessment.statistic is not None
    assert assessment.threshold is not None
    return assessment.statistic / assessment.threshold


def windows(pool: Indices, size: int, count: int, random: np.random.Generator) -> Iterator[Indices]:
    """As many windows of some of these rows: all of them in random order, cut up, again and again."""
    per_order = len(pool) // size
    for number in range(count):
        if number % per_order == 0:
            order = random.permutation(pool)
        start = number % per_order * size
        yield order[start : start + size]
