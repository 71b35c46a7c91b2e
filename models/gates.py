"""What a re-calibrated version must pass before it is published. Each gate is one figure between two bounds.

Adaptation can destroy a healthy model: statistics of 256 rows of one class can take 99.6 % to 5.9 %. None of these
gates would notice every harm; together they stop what was seen to do harm. The average confidence of the predictions is
not among them: models that were harmed had become more confident.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.batchnorm import Float64
from models.manifest import Gate

MIN_ROWS = 64
DIVERSITY = (0.9, 1.1)
MIN_AGREEMENT = 0.2
MAX_GROWTH = 10.0

Classes = NDArray[np.int64]
"""An index for each row, shape (n,)."""

_VARIANCE_FLOOR = 1e-2


def rows(count: int) -> Gate:
    """Enough rows to estimate anything from."""
    return _gate("rows", "rows that the statistics were estimated from", count, lower=MIN_ROWS)


def diversity(predicted: NDArray[np.int64], reference: NDArray[np.int64] | None = None) -> Gate:
    """Rows of few classes move the statistics as much as a changed input does, and look like it to every layer.

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


def drift(before: float, after: float) -> Gate:
    """What the rows do in the layers must be nearer to what the layers remember.

    Args:
        before, after: the mean over layers of `distance`, with the parent's statistics and with the new ones.
    """
    return _gate(
        "drift",
        "how far the rows are from what the layers remember (symmetric KL, mean); the parent's is the bound",
        after,
        upper=before,
    )


def agreement(parent: Classes, candidate: Classes) -> Gate:
    """On rows like those it was trained on, a version for another domain is worse, but not another network.

    The figure is Cohen's kappa: 1 for the same answers, 0 for what two answers share by chance.

    Args:
        parent, candidate: what each predicts for the reference rows.
    """
    observed = float(np.mean(parent == candidate))
    size = int(max(parent.max(), candidate.max())) + 1
    shares = [np.bincount(classes, minlength=size) / len(classes) for classes in (parent, candidate)]
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


def distance(mean: Float64, var: Float64) -> float:
    """Half the symmetric Kullback-Leibler divergence between N(mean, var) and N(0, 1), mean over channels.

    Args:
        mean, var: of the layer's normalised input, shape (C,). Variances below 0.01 count as that.
    """
    v = np.maximum(var, _VARIANCE_FLOOR)
    return float(np.mean(0.25 * (v + mean**2 + (1 + mean**2) / v - 2)))


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


def _gate(name: str, about: str, figure: float, *, lower: float | None = None, upper: float | None = None) -> Gate:
    return Gate(name=name, about=about, figure=float(figure) if np.isfinite(figure) else None, lower=lower, upper=upper)
