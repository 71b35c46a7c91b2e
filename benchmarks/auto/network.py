"""What the versions of a network answer for the images of every condition, and what an oracle would."""

import numpy as np

from benchmarks.auto.versions import Answers, Floats, Images, Positions, Version
from benchmarks.auto.week import Pool
from models.accuracy.agreement import NO_ROWS, Agreement
from models.classification import probabilities
from models.datatypes import Array
from models.graph.adapt import restate
from models.graph.load import parse, serialize
from models.observation import ObservationReader
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.repository import held_out
from models.repository.bundle import Bundle
from models.runtime.load import load

CRAFTED_IMAGE = "crafted image"
"""The condition of the one image that a client has crafted."""

BLOCK_ROWS = 64
"""That the accuracy is estimated from at once."""

_BATCH = 500
_REFERENCES = 300


class Network:
    """A network in every condition.

    Args:
        parent: the version of an operator, with held-out rows.
        pool: images in every condition.

    Attributes:
        parent: as given.
        estimator: of the accuracy of all versions, on the rows that they answer.
    """

    def __init__(self, parent: Bundle, pool: Pool) -> None:
        assert parent.held_out is not None
        self.parent = parent
        self._pool = pool
        self._adaptive = AdaptiveNetwork(parse(parent.source))
        (spec,) = parent.manifest.inputs
        self._input, self._shape = spec.name, (-1, *spec.shape[1:])
        self._output = parent.manifest.outputs[0].name
        kept = held_out.unpack(parent.held_out, parent.manifest.inputs)
        calibrated = AccuracyEstimator.calibrate(parent.manifest, self._adaptive, kept, _REFERENCES)
        assert calibrated is not None
        self.estimator = calibrated.before

    def inputs(self, images: Images) -> dict[str, Array]:
        """Images as the network takes them."""
        return {self._input: images.reshape(self._shape)}

    def images(self, condition: str, rows: Positions, is_crafted: Array) -> Images:
        """Images that arrive: those at some positions, and the crafted one in their place where they are crafted."""
        images = self._pool.images(condition)[rows].copy()
        if is_crafted.any():
            images[is_crafted] = _crafted_image()
        return images

    def answers(self, version: Version, condition: str) -> Answers:
        """What a version answers in a condition."""
        known = version.answers
        if condition not in known:
            known[condition] = self._run(version.bundle, condition)
        return known[condition]

    def compare_with_twin(self, version: Version, images: Images, scores: Floats) -> Agreement:
        """Of a version's rows, when those that wait are a block."""
        version.waiting.append((images, scores))
        if sum(len(found) for found, _ in version.waiting) < BLOCK_ROWS:
            return NO_ROWS
        block = np.concatenate([found for found, _ in version.waiting])[:BLOCK_ROWS]
        own = np.concatenate([found for _, found in version.waiting])[:BLOCK_ROWS]
        version.waiting = []
        twin = self._adaptive.run(self.inputs(block)).outputs[self._output]
        found = probabilities(twin, self.parent.manifest.scores)
        return Agreement.of(own, found, self.estimator.confident_at)

    def oracle(self, base: Version, condition: str, rows: int) -> Answers | None:
        """What a version from so many rows of a condition answers, if it is better there than the base.

        It is there without delay, and passes no gates.
        """
        if not self._pool.has_labels(condition) or condition == "crafted" or condition.startswith("one class"):
            return None
        images, labels = self._pool.images(condition), self._pool.labels
        chosen = np.random.default_rng(8).choice(len(images), rows, replace=False)
        found = self._adaptive.run(self.inputs(images[chosen]))
        run = load(serialize(restate(parse(self.parent.source), found.mixed)), optimize=True)
        own = Answers(probabilities(run(self.inputs(images))[self._output], self.parent.manifest.scores), {})
        is_better = np.mean(own.classes == labels) > np.mean(self.answers(base, condition).classes == labels)
        return own if is_better else None

    def _run(self, bundle: Bundle, condition: str) -> Answers:
        assert bundle.observed is not None
        images = _crafted_image()[None] if condition == CRAFTED_IMAGE else self._pool.images(condition)
        run = load(bundle.observed, optimize=True)
        parts = [run(self.inputs(part)) for part in np.array_split(images, len(images) // _BATCH + 1)]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        layers = ObservationReader(bundle.manifest.layers, outputs).read(outputs)
        return Answers(probabilities(outputs[self._output], bundle.manifest.scores), layers)


def _crafted_image() -> Images:
    return (np.random.default_rng(0).random((1, 28, 28)) > 0.5).astype(np.float32)
