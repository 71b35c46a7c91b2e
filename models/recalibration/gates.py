"""The gates that a version made from rows must pass before it is published. Each is one figure between two bounds.

Adaptation can destroy a healthy model: rows of one class move the statistics as much as a changed input does. None of
these gates would notice every harm; together they stop what was seen to do harm (docs/recalibration.md). The average
confidence of the predictions is not among them: models that were harmed had become more confident. A gain on labelled
rows outvotes the gates about unlabelled predictions, which only guess at it.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.accuracy.information import entropy, expected_entropy, relative_information
from models.batchnorm import Float64
from models.classification import Classes, count_classes
from models.manifest import AccuracyEstimate, Gate
from models.recalibration.limits import MIN_ROWS_TO_PUBLISH
from models.recalibration.sign_test import SignTest

OUTVOTED = frozenset(
    {"diversity", "information", "gain", "estimated_gain", "confident_agreement", "label_shift", "agreement"}
)
"""Gates that a significant gain on labelled rows outvotes."""

MIN_DIVERSITY, MAX_DIVERSITY = 0.9, 1.1
MIN_DIVERSITY_IF_LOST = 0.75
MIN_INFORMATION = 0.75
LEAST_MIN_INFORMATION, LARGEST_MIN_INFORMATION = 0.3, 0.8
SHARE_IF_MENDED = 0.7
MIN_GAIN = -0.01
MIN_ESTIMATED_GAIN = -0.02
MAX_TREND = 0.4
MIN_REMAINING = 0.5
MIN_MOVED, MIN_MOVED_IF_VANISHING = 0.6, 0.77
MIN_CONFIDENT_AGREEMENT = 0.95
CONFIDENT = 0.9
USUAL_CONFIDENCE = 0.85
INFORMED = 0.6
MAX_EXPLAINED = 0.5
SMALL_DRIFT = 0.02
_CHANCE_DRIFT = 2.0
"""Times one over the number of rows: drift of undisturbed rows by chance, on every network that was measured."""
ABOUT_MOVED = "share of the rows that has moved"
"""The figure of `mixture` where these rows may be told from the others, as `only_moved` does."""
MIN_AGREEMENT = 0.0
MAX_GROWTH = 10.0
MAX_FALSE_ALARMS = 0.2


def rows(count: int) -> Gate:
    """Enough rows to estimate statistics from."""
    return _gate("rows", "rows that the statistics were estimated from", count, lower=MIN_ROWS_TO_PUBLISH)


def false_alarms(scores: Float64) -> Gate:
    """Rows that the reference was not estimated from are usual by it.

    A reference from too few rows, or from rows that are seldom alike, finds many of the next ones unusual.

    Args:
        scores: of rows that were set aside, at a false-alarm rate of 0.05: 1 is the threshold, shape (n,).
    """
    about = "share of rows set aside that score above the threshold for 1 row in 20"
    return _gate("false_alarms", about, float(np.mean(scores > 1)), upper=MAX_FALSE_ALARMS)


def diversity(
    predicted: NDArray[np.int64], reference: NDArray[np.int64] | None = None, *, is_lost: bool = False
) -> Gate:
    """The new version predicts as many classes as there should be.

    The entropy of the predicted classes is compared with the expected one of as many held-out rows: a few rows never
    have all classes.

    Args:
        predicted: rows by the new version's predicted class, shape (K,).
        reference: held-out rows, of any number, by predicted class; equally many of each when absent.
        is_lost: as in `models.recalibration.conditions`: then less is enough.
    """
    share = np.full(len(predicted), 1 / len(predicted)) if reference is None else reference / reference.sum()
    expected = expected_entropy(share, int(predicted.sum()))
    figure = entropy(predicted / predicted.sum()) / expected if expected > 0 else np.nan
    about = "entropy of the predicted classes, relative to that expected of as many held-out rows"
    lower = MIN_DIVERSITY_IF_LOST if is_lost else MIN_DIVERSITY
    return _gate("diversity", about, figure, lower=lower, upper=MAX_DIVERSITY)


def information(
    predicted: Float64, reference: Float64 | None = None, *, joined: float | None = None, one_class: float | None = None
) -> Gate:
    """Each row is of one class with certainty, and the rows are of many classes.

    Rows of one class, spread out by statistics of their own, fall into many classes, but into none with certainty.
    So do rows of no class. The figure is the mutual information of row and class, ``H(mean of p) - mean of H(p)``.

    Args:
        predicted: the new version's probabilities for its rows, shape (n, K).
        reference: the parent's for its held-out rows, shape (m, K); as many classes, all certain, when absent.
        joined: the figure of rows of no class (`models.recalibration.joined_rows`), if it is known: what a network is
            sure of differs from one to the next.
        one_class: where the parent is mended (`models.recalibration.conditions`), the largest figure of rows of one
            class (`models.recalibration.one_class`): then less than rows of no class reach is enough, but not less than
            that. None where the parent is not mended.
    """
    about = "mutual information of rows and predicted classes, relative to the parent's on its held-out rows"
    lower = (
        MIN_INFORMATION if joined is None else float(np.clip(joined, LEAST_MIN_INFORMATION, LARGEST_MIN_INFORMATION))
    )
    if one_class is not None:
        lower = max(SHARE_IF_MENDED * lower, min(one_class, lower))
    return _gate("information", about, relative_information(predicted, reference), lower=lower)


def gain(parent: Float64, candidate: Float64, reference: Float64 | None = None) -> Gate:
    """The new version has no less mutual information of rows and predicted classes than the parent.

    Args:
        parent, candidate: the probabilities of each for the rows, shape (n, K).
        reference: as in `information`.
    """
    about = "gain of mutual information of rows and predicted classes, relative to the parent's on its held-out rows"
    figure = relative_information(candidate, reference) - relative_information(parent, reference)
    return _gate("gain", about, figure, lower=MIN_GAIN)


def estimated_gain(before: AccuracyEstimate, after: AccuracyEstimate) -> Gate:
    """The new version is not estimated to be less accurate on the rows than the one that has answered them.

    Args:
        before, after: estimated accuracy of that version and of the new one.
    """
    about = "estimated accuracy of the new version on the rows, less that of the version that has answered them"
    return _gate("estimated_gain", about, after.accuracy - before.accuracy, lower=MIN_ESTIMATED_GAIN)


def confident_agreement(parent: Float64, candidate: Classes, reference: Float64) -> Gate:
    """Where the parent is as sure as ever, there is little to mend: the new version agrees with it.

    It would not, for rows of which a part has moved, or which are of few classes. A parent that is sure of one and the
    same class is not asked: what has moved can do that.

    Args:
        parent: its probabilities for the rows, shape (n, K).
        candidate: the classes that the new version predicts for them.
        reference: the parent's probabilities for its held-out rows, shape (m, K).
    """
    sure = parent.max(axis=1) >= CONFIDENT
    is_usual = sure.mean() >= USUAL_CONFIDENCE * (reference.max(axis=1) >= CONFIDENT).mean()
    is_asked = sure.any() and is_usual and relative_information(parent, reference) >= INFORMED
    figure = float(np.mean(parent.argmax(axis=1)[sure] == candidate[sure])) if is_asked else 1.0
    about = f"agreement with the parent on rows that it predicts with {CONFIDENT:.0%} or more, if it does as usual"
    return _gate("confident_agreement", about, figure, lower=MIN_CONFIDENT_AGREEMENT)


def mixture(drift: float, remaining: float, moved: float | None, count: int) -> Gate:
    """The rows have moved together, not a part of them.

    Args:
        drift: symmetric KL divergence of the rows from the parent's statistics, mean over channels and layers.
        remaining: the same without the rows whose drift score is above 1; `drift` itself where hardly any are left.
        moved: the share of the rows that has moved (`models.recalibration.moved`); None where it is not known.
        count: of the rows.
    """
    is_small = drift < max(SMALL_DRIFT, _CHANCE_DRIFT / count)
    if moved is None:
        about = "share of the drift that remains without unusual rows"
        return _gate("mixture", about, 1.0 if is_small else remaining / drift, lower=MIN_REMAINING)
    vanishes = not is_small and remaining < MIN_REMAINING * drift
    lower = MIN_MOVED_IF_VANISHING if vanishes else MIN_MOVED
    return _gate("mixture", ABOUT_MOVED, 1.0 if is_small else moved, lower=lower)


def trend(drift: float, between: float, by_chance: float) -> Gate:
    """The rows have stopped moving: the later half is like the earlier one.

    Statistics of rows that were still moving suit neither where they began nor where they will be.

    Args:
        drift: symmetric KL divergence of the rows from the parent's statistics, mean over channels and layers.
        between: the same, of the later half from the earlier one.
        by_chance: the same, of every second row from the others.
    """
    figure = max(0.0, between - 2 * by_chance) / drift if drift > 0 else 0.0
    about = "divergence between the earlier and the later half of the rows, beyond chance, relative to the drift"
    return _gate("trend", about, figure, upper=MAX_TREND)


def label_shift(drift: float, unexplained: float) -> Gate:
    """The rows have moved for another reason than an unusual mix of classes.

    Args:
        drift: symmetric KL divergence of the rows from the parent's statistics, mean over channels and layers.
        unexplained: the same from held-out rows with the mix of classes that the parent predicts for the rows.
    """
    # A few dozen undisturbed rows drift by as much: their classes are never quite the usual mix.
    figure = max(0.0, 1 - unexplained / drift) if drift >= SMALL_DRIFT else 0.0
    about = "share of the drift that the mix of predicted classes explains"
    return _gate("label_shift", about, figure, upper=MAX_EXPLAINED)


def drift(before: float, after: float) -> Gate:
    """The rows are closer to the new statistics than to the parent's.

    Args:
        before, after: symmetric KL divergence of the rows from the parent's statistics and from the new ones, mean
            over channels and layers.
    """
    about = "symmetric KL divergence of the rows from the layers' statistics, at most that from the parent's"
    return _gate("drift", about, after, upper=before)


def agreement(parent: Classes, candidate: Classes) -> Gate:
    """The versions agree on held-out rows by more than chance: one for another domain is worse on them, but not random.

    No more is required: a version that repaired a brightness from 18 % to 97 % agreed with its parent by 0.02. The
    figure is Cohen's kappa: 1 for equal predictions, 0 for what two independent predictions share by chance.

    Args:
        parent, candidate: the predicted classes of each for the held-out rows.
    """
    observed = float(np.mean(parent == candidate))
    size = int(max(parent.max(), candidate.max())) + 1
    shares = [count_classes(classes, size) / len(classes) for classes in (parent, candidate)]
    chance = float(shares[0] @ shares[1])
    figure = (observed - chance) / (1 - chance) if chance < 1 else 1.0
    about = "agreement with the parent on its held-out rows, beyond chance (Cohen's kappa)"
    return _gate("agreement", about, figure, lower=MIN_AGREEMENT)


def accuracy(parent: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> Gate:
    """The new version is not worse than the one that has answered on labelled rows, beyond chance.

    Args:
        parent, candidate: whether each predicts the label, for every labelled row, shape (m,).
    """
    test = SignTest.of(parent, candidate)
    about = (
        f"accuracy on {len(parent)} labelled rows, of which only the new version has {test.new} right, and only the "
        f"one that has answered {test.old}"
    )
    both = int(np.sum(parent & candidate))
    figure, lower = (both + test.new) / len(parent), (both + test.least_new) / len(parent)
    return _gate("accuracy", about, figure, lower=lower)


def growth(parent: Iterable[NDArray[np.generic]], candidate: Iterable[NDArray[np.generic]]) -> Gate:
    """The outputs are finite, and of the size of the parent's.

    Args:
        parent, candidate: all outputs of each.
    """
    before, after = (
        np.max([np.abs(values.astype(np.float64)).max(initial=0.0) for values in outputs])
        for outputs in (parent, candidate)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        figure = 0.0 if after == 0 else float(after / before)
    return _gate("growth", "largest output, relative to the parent's largest", figure, upper=MAX_GROWTH)


def is_moving(gates: Iterable[Gate]) -> bool:
    """Whether the gate `trend` has found that the rows were still moving."""
    return any(gate.name == "trend" and not gate.passed for gate in gates)


def describe(gate: Gate) -> str:
    """The gate's figure and the bound that it misses, e.g. ``diversity 0.31 is below 0.9``."""
    if gate.figure is None:
        return f"{gate.name} is not a finite number"
    if gate.lower is not None and gate.figure < gate.lower:
        return f"{gate.name} {gate.figure:.3g} is below {gate.lower:.3g}"
    if gate.upper is not None and gate.figure > gate.upper:
        return f"{gate.name} {gate.figure:.3g} is above {gate.upper:.3g}"
    return f"{gate.name} {gate.figure:.3g}"


def _gate(name: str, about: str, figure: float, *, lower: float | None = None, upper: float | None = None) -> Gate:
    return Gate(name=name, about=about, figure=float(figure) if np.isfinite(figure) else None, lower=lower, upper=upper)
