"""What a window of rows is judged to be: the figures of its layers and classes, and the verdict that follows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from models.accuracy.agreement import CurrentAccuracy
from models.manifest import AccuracyGain

Verdict = Literal["quiet", "label_shift_likely", "covariate_shift", "not_enough_rows", "uncalibrated"]

MIN_WINDOW_ROWS = 16
"""Rows of the smallest window that gets a verdict."""

LARGE_KL = 0.05
"""Symmetric KL divergence of a layer, mean over channels, from which a shift is worth an alarm."""

LARGE_WASSERSTEIN = 0.1
"""2-Wasserstein distance of a layer from which it is, in standard deviations. docs/drift.md has what shifts cost."""

LARGE_CLASS_DISTANCE = 0.25
"""Share of rows, whose predicted class would have to be another one, from which it is."""

_MESSAGES: dict[Verdict, str] = {
    "quiet": "The layers' statistics are close to those of the held-out rows.",
    "label_shift_likely": "The layers' statistics have shifted, but no more than the mix of predicted classes "
    "explains: some classes are more or less frequent than among the held-out rows.",
    "covariate_shift": "The layers' statistics have shifted, and the mix of predicted classes does not explain it: "
    "the inputs themselves have changed.",
    "not_enough_rows": f"This window has fewer than {MIN_WINDOW_ROWS} rows.",
    "uncalibrated": "The model has no held-out rows to compare with, so there are no thresholds: only sizes are shown.",
}

_SMALL_SHIFT = (
    "The layers' statistics differ significantly from those of the held-out rows, but too little to raise an alarm."
)
_HARMLESS_SHIFT = (
    "The layers' statistics differ significantly from those of the held-out rows, but they cost less accuracy than "
    "would raise an alarm."
)


@dataclass(frozen=True)
class ChannelShift:
    """One channel in the window, in z units."""

    channel: int
    mean: float
    variance: float
    symmetric_kl: float


@dataclass(frozen=True)
class LayerShift:
    """One layer in the window.

    Attributes:
        statistic, threshold, significant: None without a reference or enough rows.
        symmetric_kl: mean over channels, less what chance makes of it, at least 0.
        wasserstein: root mean square over channels, less what chance makes of it, in standard deviations.
        worst_channels: those with the largest divergences, descending.
    """

    statistic: float | None
    threshold: float | None
    significant: bool | None
    symmetric_kl: float
    wasserstein: float
    worst_channels: tuple[ChannelShift, ...]

    @property
    def large(self) -> bool:
        """Whether a shift of this size is worth an alarm."""
        return self.symmetric_kl >= LARGE_KL or self.wasserstein >= LARGE_WASSERSTEIN


@dataclass(frozen=True)
class ClassShift:
    """The predicted classes of the window.

    Attributes:
        statistic, threshold, significant: whether their shares differ from the held-out rows', at the same false-alarm
            rate. None without enough rows.
        distance: total variation distance, 0 to 1: the share of rows whose class would have to be another one.
        explains_shift: whether held-out rows of these classes have the window's statistics; None where this is unknown.
        unexplained: how far the window's statistics are from theirs, over the threshold; None where this is unknown.
        unusual: the classes that are more or less frequent than among the held-out rows, each by itself at the
            false-alarm rate over the number of classes, ascending.
    """

    statistic: float | None
    threshold: float | None
    significant: bool | None
    distance: float | None
    explains_shift: bool | None
    unexplained: float | None = None
    unusual: tuple[int, ...] = ()

    @property
    def large(self) -> bool:
        """Whether the shares differ significantly, and by as much as is worth an alarm."""
        return bool(self.significant and (self.distance or 0) >= LARGE_CLASS_DISTANCE)

    @property
    def is_explanation(self) -> bool:
        """Whether the shares differ significantly, and held-out rows with the same shares have these statistics."""
        return bool(self.significant and self.explains_shift)


@dataclass(frozen=True)
class Assessment:
    """A window of rows.

    Attributes:
        rows: of the window.
        statistic, threshold, significant: over all layers; None without a reference or enough rows.
        symmetric_kl, wasserstein: means over layers.
        layers: by name, in the order of the reference.
        p_value: the smallest of the measured rates at which it is significant; 1 where it is so at none of them.
        classes: None for a model that does not classify, or without a reference.
        accuracy: None where it is not estimated.
        twin_gain: by how much the version would be more accurate with the statistics of the rows; None where it is not
            estimated.
    """

    rows: int
    verdict: Verdict
    statistic: float | None
    threshold: float | None
    significant: bool | None
    symmetric_kl: float
    wasserstein: float
    layers: Mapping[str, LayerShift]
    classes: ClassShift | None = None
    accuracy: CurrentAccuracy | None = None
    p_value: float = 1.0
    twin_gain: AccuracyGain | None = None

    @property
    def alarm(self) -> bool:
        """Whether the verdict is a shift."""
        return self.verdict in ("label_shift_likely", "covariate_shift")

    @property
    def message(self) -> str:
        """The verdict in words."""
        message = _MESSAGES[self.verdict]
        if self.verdict == "quiet" and self.significant:
            message = _SMALL_SHIFT if self.accuracy is None else _HARMLESS_SHIFT
        return message if self.accuracy is None else f"{message} {self.accuracy}"

    @property
    def is_explained_by_classes(self) -> bool:
        """Whether the layers' statistics have shifted, and no more than the mix of predicted classes explains."""
        return bool(self.significant and self.classes is not None and self.classes.is_explanation)

    def with_accuracy(self, accuracy: CurrentAccuracy | None, twin_gain: AccuracyGain | None = None) -> "Assessment":
        """The assessment with estimates; that of the accuracy says how large a significant shift is."""
        if accuracy is None:
            return self
        verdict = self.verdict
        if self.significant is not None:
            verdict = decide(self.layers, self.classes, significant=self.significant, accuracy=accuracy)
        return replace(self, accuracy=accuracy, verdict=verdict, twin_gain=twin_gain)


def decide(
    layers: Mapping[str, LayerShift],
    classes: ClassShift | None,
    *,
    significant: bool,
    accuracy: CurrentAccuracy | None = None,
) -> Verdict:
    """The verdict on a window with enough rows: an alarm needs significance and size.

    The size is what the shift costs, where that is estimated, or else how far the layers have moved.

    Args:
        layers: by name.
        classes: None where they are not compared.
        significant: whether the statistic over all layers exceeds its threshold.
        accuracy: None where it is not estimated.
    """
    is_large = any(layer.large for layer in layers.values()) if accuracy is None else accuracy.is_lower
    if not (significant and (is_large or (classes is not None and classes.large))):
        return "quiet"
    is_explained = classes is not None and classes.is_explanation
    return "label_shift_likely" if is_explained else "covariate_shift"
