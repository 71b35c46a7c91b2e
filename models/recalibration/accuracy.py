"""How accurate the parent is on rows without labels, and how accurate the re-calibrated version would be.

Held-out rows are shifted in known ways (`models.accuracy.shifts`); their labels are what the parent predicts for them
undisturbed. The parent and its twin with the shifted rows' own statistics run on each, and a regression learns how
accurate either was (`models.accuracy.estimator`). The same signs of the rows in question give the estimates.

The signs of the parent's accuracy are the twin's agreement with it and the probability that the twin gives to the
parent's classes; those of the twin's accuracy the agreement, and the information of its predictions.

Where an unusual mix of classes explains the drift, the twin is wrong, not the parent: then the share of rows that the
parent is as sure of as of nearly all held-out rows estimates its accuracy (Garg et al. 2022, "Leveraging unlabeled data
to predict out-of-distribution performance", ATC).
"""

import time
from dataclasses import dataclass

import numpy as np

from models.accuracy.estimator import MIN_KINDS, Estimate, Estimator, logit
from models.accuracy.shifts import shifts
from models.batchnorm import Float64
from models.classification import Classes, predicted_classes, probabilities
from models.datatypes import Arrays
from models.manifest import Manifest
from models.recalibration import gates
from models.recalibration.adaptation import AdaptiveNetwork, Pass

MAX_ROWS = 64
"""Of each shift: more cost time, and make no better estimate."""

MIN_ROWS = 16
"""Held-out rows without which there is no estimate."""

MAX_SECONDS = 30.0
"""A network that takes longer for all shifts gets no estimate."""


@dataclass(frozen=True)
class AccuracyEstimator:
    """Estimates for one version.

    Attributes:
        before: of its own accuracy.
        after: of that of its twin.
        usual: its probabilities for held-out rows, shape (m, K).
        scale: its accuracy on undisturbed rows; 1 where it is not known.
    """

    manifest: Manifest
    before: Estimator
    after: Estimator
    usual: Float64
    scale: float

    @classmethod
    def calibrate(
        cls, manifest: Manifest, network: AdaptiveNetwork, held_out: Arrays, max_seconds: float = MAX_SECONDS
    ) -> "AccuracyEstimator | None":
        """Learn from shifted held-out rows; None where that is not possible.

        Args:
            manifest: of the version, which classifies.
            network: the version's.
            held_out: rows of it, for every input, shape (m, ...).
            max_seconds: give up after so long.
        """
        if len(held_out) != 1 or len(manifest.inputs) != 1:
            return None
        ((name, rows),) = held_out.items()
        if len(rows) < MIN_ROWS or not np.issubdtype(rows.dtype, np.floating):
            return None
        usual = _probabilities(manifest, network.run(held_out, 1.0))
        rows, truth = rows[:MAX_ROWS], usual[:MAX_ROWS].argmax(axis=1)
        kinds, signs, right = [], [], []
        end = time.monotonic() + max_seconds
        for kind, shifted in (("none", rows), *shifts(rows)):
            if time.monotonic() > end:
                return None
            parent, twin = (_probabilities(manifest, network.run({name: shifted}, weight)) for weight in (1.0, None))
            kinds.append(kind)
            signs.append((_signs_before(parent, twin), _signs_after(parent, twin, usual)))
            right.append([np.mean(predicted_classes(found) == truth) for found in (parent, twin)])
        if len(set(kinds)) < MIN_KINDS:
            return None
        before, after = (
            Estimator.fit(np.array([pair[which] for pair in signs]), np.array(right)[:, which], kinds)
            for which in (0, 1)
        )
        known = None if manifest.training is None else manifest.training.metrics.get("test_accuracy")
        return cls(manifest, before, after, usual, 1.0 if known is None else known)

    def estimate(self, parent: Pass, twin: Pass, *, is_label_shift: bool = False) -> tuple[Estimate, Estimate]:
        """The accuracy of the version on some rows, and that of its twin.

        Args:
            parent, twin: passes of the rows.
            is_label_shift: whether the mix of classes explains what moved.
        """
        old, new = _probabilities(self.manifest, parent), _probabilities(self.manifest, twin)
        before = (
            _by_confidence(old, self.usual, self.scale)
            if is_label_shift
            else self.before.estimate(_signs_before(old, new), self.scale)
        )
        return before, self.after.estimate(_signs_after(old, new, self.usual), self.scale)


def _by_confidence(predicted: Float64, usual: Float64, scale: float) -> Estimate:
    sure = np.quantile(usual.max(axis=1), 1 - min(scale, 0.98))
    share = float(np.mean(predicted.max(axis=1) >= sure))
    error = 2 * float(np.sqrt((share * (1 - share) + 0.01) / len(predicted)))
    return Estimate(share, max(share - error, 0.0), min(share + error, 1.0))


def _probabilities(manifest: Manifest, found: Pass) -> Float64:
    return probabilities(found.outputs[manifest.outputs[0].name], manifest.scores)


def _signs_before(parent: Float64, twin: Float64) -> Float64:
    classes: Classes = predicted_classes(parent)
    agreement = float(np.mean(classes == predicted_classes(twin)))
    given = float(twin[np.arange(len(twin)), classes].mean())
    return np.array([logit(agreement), logit(given)])


def _signs_after(parent: Float64, twin: Float64, usual: Float64) -> Float64:
    agreement = float(np.mean(predicted_classes(parent) == predicted_classes(twin)))
    information = gates.relative_information(twin, usual)
    return np.array([logit(agreement), information if np.isfinite(information) else 0.0])
