"""What predicted classes say about rows: entropy, and mutual information, in nats."""

import numpy as np

from models.batchnorm import Float64


def entropy(share: Float64) -> float:
    """The entropy of classes with these shares, shape (K,)."""
    present = share[share > 0]
    return float(-(present * np.log(present)).sum())


def expected_entropy(share: Float64, count: int) -> float:
    """The expected entropy of the classes of `count` rows that are drawn with these shares.

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


def mutual_information(probabilities: Float64) -> float:
    """Mutual information of rows and predicted classes: ``H(mean of p) - mean of H(p)``.

    Args:
        probabilities: of the classes, shape (n, K).
    """
    return entropy(probabilities.mean(axis=0)) - float(np.mean([entropy(row) for row in probabilities]))


def relative_information(predicted: Float64, reference: Float64 | None) -> float:
    """Mutual information of rows and predicted classes, relative to the parent's on its held-out rows.

    Args:
        predicted: probabilities, shape (n, K).
        reference: the parent's for its held-out rows, shape (m, K); as many classes, all certain, when absent.
    """
    rows, classes = predicted.shape
    usual = (
        expected_entropy(np.full(classes, 1 / classes), rows) if reference is None else mutual_information(reference)
    )
    return mutual_information(predicted) / usual if usual > 0 else np.nan
