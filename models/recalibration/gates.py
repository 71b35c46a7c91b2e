"""What a re-calibrated version must pass before it is published. Each gate is one figure between two bounds.

Adaptation can destroy a healthy model: rows of one class move the statistics as much as a changed input does. None of
these gates would notice every harm; together they stop what was seen to do harm (docs/recalibration.md). The average
confidence of the predictions is not among them: models that were harmed had become more confident.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.classification import Classes, count_classes
from models.manifest import Gate

MIN_ROWS = 64
DIVERSITY = (0.9, 1.1)
MIN_INFORMATION = 0.75
MAX_EXPLAINED = 0.5
SMALL_DRIFT = 0.02
MIN_AGREEMENT = 0.0
MAX_GROWTH = 10.0


def rows(count: int) -> Gate:
    """Enough rows to estimate anything from."""
    return _gate("rows", "rows that the statistics were estimated from", count, lower=MIN_ROWS)


def diversity(predicted: NDArray[np.int64], reference: NDArray[np.int64] | None = None) -> Gate:
    """The new version finds as many classes as there should be.

    The entropy of the predicted classes is compared with what as many rows of the reference would have on average: a
    few rows never show all classes.

    Args:
        predicted: how many rows the new version took for each class, shape (K,).
        reference: the same for rows like those it was trained on, of any number; equally many of each when absent.
    """
    share = np.full(len(predicted), 1 / len(predicted)) if reference is None else reference / reference.sum()
    expected = expected_entropy(share, int(predicted.sum()))
    figure = _entropy(predicted / predicted.sum()) / expected if expected > 0 else np.nan
    lower, upper = DIVERSITY
    about = "entropy of the predicted classes, of what as many rows of the reference have"
    return _gate("diversity", about, figure, lower=lower, upper=upper)


def information(predicted: Float64, reference: Float64 | None = None) -> Gate:
    """Each row is of one class, and the rows are of many.

    Rows of one class, spread out by statistics of their own, fall into many classes, but into none with any certainty.
    The figure is the mutual information of row and class, ``H(mean of p) - mean of H(p)``.

    Args:
        predicted: the new version's probabilities for its rows, shape (n, K).
        reference: the parent's for the reference rows, shape (m, K); classes that are as many and certain when absent.
    """
    rows, classes = predicted.shape
    usual = (
        expected_entropy(np.full(classes, 1 / classes), rows) if reference is None else _mutual_information(reference)
    )
    figure = _mutual_information(predicted) / usual if usual > 0 else np.nan
    about = "what the predictions tell of the rows, of what the parent's tell of its reference rows"
    return _gate("information", about, figure, lower=MIN_INFORMATION)


def label_shift(drift: float, unexplained: float) -> Gate:
    """The rows have moved for another reason than that they are of other classes than usual.

    Args:
        drift: `distance` of the rows from what the parent's layers remember, mean over layers.
        unexplained: the same, from reference rows of the classes that the parent predicts for the rows.
    """
    # A few dozen undisturbed rows drift by as much: their classes are never quite the usual mix.
    figure = max(0.0, 1 - unexplained / drift) if drift >= SMALL_DRIFT else 0.0
    about = "share of the drift that another mix of the usual classes explains"
    return _gate("label_shift", about, figure, upper=MAX_EXPLAINED)


def drift(before: float, after: float) -> Gate:
    """What the rows do in the layers must be nearer to what the layers remember.

    Args:
        before, after: the mean over layers of `distance`, with the parent's statistics and with the new ones.
    """
    return _gate(
        "drift",
        "distance of the rows from what the layers remember; the parent's is the bound",
        after,
        upper=before,
    )


def agreement(parent: Classes, candidate: Classes) -> Gate:
    """On rows like those it was trained on, a version for another domain is worse, but not as bad as chance.

    No more than that is asked: a version that mended a brightness from 18 % to 97 % agreed with its parent by 0.02. The
    figure is Cohen's kappa: 1 for the same answers, 0 for what two answers share by chance.

    Args:
        parent, candidate: what each predicts for the reference rows.
    """
    observed = float(np.mean(parent == candidate))
    size = int(max(parent.max(), candidate.max())) + 1
    shares = [count_classes(classes, size) / len(classes) for classes in (parent, candidate)]
    chance = float(shares[0] @ shares[1])
    figure = (observed - chance) / (1 - chance) if chance < 1 else 1.0
    return _gate("agreement", "with the parent on its reference rows, beyond chance", figure, lower=MIN_AGREEMENT)


def accuracy(parent: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> Gate:
    """On labelled rows the new version is no worse than its parent, but for one standard error of the difference.

    Args:
        parent, candidate: whether each is right, for every labelled row, shape (m,).
    """
    difference = candidate.astype(np.float64) - parent  # of the same rows: what both get right or wrong adds no noise
    error = float(difference.std() / np.sqrt(len(difference)))
    lower = float(parent.mean()) - error
    return _gate("accuracy", "share of the labelled rows that are right", float(candidate.mean()), lower=lower)


def growth(parent: Iterable[NDArray[np.generic]], candidate: Iterable[NDArray[np.generic]]) -> Gate:
    """The outputs are finite, and of the size of the parent's.

    Args:
        parent, candidate: outputs of each, all there are.
    """
    before, after = (
        np.max([np.abs(values.astype(np.float64)).max(initial=0.0) for values in outputs])
        for outputs in (parent, candidate)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        figure = 0.0 if after == 0 else float(after / before)
    return _gate("growth", "largest output, of the parent's largest", figure, upper=MAX_GROWTH)


def expected_entropy(share: Float64, count: int) -> float:
    """The mean entropy, in nats, of the classes of `count` rows drawn with these shares.

    Args:
        share: of each class, shape (K,), adding up to 1.
        count: rows, at least 1.
    """
    drawn = np.arange(count + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(drawn[1:]))])
    log_choose = log_factorial[-1] - log_factorial - log_factorial[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(drawn > 0, -(drawn / count) * np.log(drawn / count), 0.0)
    total = 0.0
    for p in share[(share > 0) & (share < 1)]:
        chance = np.exp(log_choose + drawn * np.log(p) + (count - drawn) * np.log1p(-p))  # binomial
        total += float(chance @ part)
    return total


def _entropy(share: Float64) -> float:
    present = share[share > 0]
    return float(-(present * np.log(present)).sum())


def _mutual_information(probabilities: Float64) -> float:
    return _entropy(probabilities.mean(axis=0)) - float(np.mean([_entropy(row) for row in probabilities]))


def _gate(name: str, about: str, figure: float, *, lower: float | None = None, upper: float | None = None) -> Gate:
    return Gate(name=name, about=about, figure=float(figure) if np.isfinite(figure) else None, lower=lower, upper=upper)
