"""How accurate the parent is on rows without labels, and how accurate the re-calibrated version would be.

Held-out rows are shifted in known ways (`models.accuracy.shifts`); their labels are what the parent predicts for them
undisturbed. The parent and its twin with the shifted rows' own statistics run on each, and a regression learns how
accurate either was (`models.accuracy.estimator`). The same signs (`models.accuracy.agreement`) of the rows in question
give the estimates.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from models.accuracy.agreement import NO_ROWS, Agreement
from models.accuracy.agreement_estimator import AgreementEstimator
from models.accuracy.estimator import MIN_KINDS, Estimator
from models.accuracy.gain import GainEstimator
from models.accuracy.shifts import shifts
from models.batchnorm import Float64
from models.classification import predicted_classes, probabilities
from models.datatypes import Arrays
from models.manifest import AccuracyEstimate, AccuracyGain, Manifest
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
    """

    manifest: Manifest
    before: AgreementEstimator
    after: AgreementEstimator

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
        kinds, agreements, right = [], [], []
        end = time.monotonic() + max_seconds
        for kind, shifted in (("none", rows), *shifts(rows)):
            if time.monotonic() > end:
                return None
            parent, twin = (_probabilities(manifest, network.run({name: shifted}, weight)) for weight in (1.0, None))
            kinds.append(kind)
            agreements.append(Agreement.of(parent, twin, np.inf))
            right.append([np.mean(predicted_classes(found) == truth) for found in (parent, twin)])
        signs = np.array([found.signs for found in agreements])
        if len(set(kinds)) < MIN_KINDS:
            return None
        known = None if manifest.training is None else manifest.training.metrics.get("test_accuracy")
        before, after = (
            AgreementEstimator.fit(
                Estimator.fit(signs, np.array(right)[:, which], kinds),
                usual,
                1.0 if known is None else known,
                len(rows),
            )
            for which in (0, 1)
        )
        undisturbed = NO_ROWS
        for start in range(0, len(usual) - len(rows) + 1, len(rows)):
            block = slice(start, start + len(rows))
            twin = _probabilities(manifest, network.run({name: held_out[name][block]}))
            undisturbed += Agreement.of(usual[block], twin, before.confident_at)
        gains = GainEstimator.fit(agreements, [new - old for old, new in right], kinds)
        before = replace(before.relative_to(undisturbed), gains=gains)
        return cls(manifest, before, after.relative_to(undisturbed))

    def estimate(
        self, parent: Pass, twin: Pass, *, is_label_shift: bool = False
    ) -> tuple[AccuracyEstimate, AccuracyEstimate]:
        """The accuracy of the version on some rows, and that of its twin.

        Args:
            parent, twin: passes of the rows.
            is_label_shift: whether the mix of classes explains what moved.
        """
        old, new = (_probabilities(self.manifest, found) for found in (parent, twin))
        agreement = Agreement.of(old, new, self.before.confident_at)
        return self.before.estimate(agreement, is_label_shift=is_label_shift), self.after.estimate(agreement)

    def estimate_other(self, predicted: Float64, twin: Pass, *, is_label_shift: bool = False) -> AccuracyEstimate:
        """The accuracy of another version with the same weights, whatever its statistics.

        Args:
            predicted: its probabilities for some rows, shape (n, K).
            twin: a pass of these rows.
            is_label_shift: whether the mix of classes explains what moved.
        """
        agreement = Agreement.of(predicted, _probabilities(self.manifest, twin), self.before.confident_at)
        return self.before.estimate(agreement, is_label_shift=is_label_shift)

    def estimate_gain(self, predicted: Float64, twin: Pass) -> AccuracyGain | None:
        """What the twin gains over a version with the same weights, on the same rows; None where that is not known.

        Args:
            predicted: the version's probabilities for some rows, shape (n, K).
            twin: a pass of these rows.
        """
        agreement = Agreement.of(predicted, _probabilities(self.manifest, twin), self.before.confident_at)
        return self.before.twin_gain(agreement)


def _probabilities(manifest: Manifest, found: Pass) -> Float64:
    return probabilities(found.outputs[manifest.outputs[0].name], manifest.scores)
