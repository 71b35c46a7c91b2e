"""What the parent and the new version are like on the rows: it decides how much the gates ask for.

A version that repairs much may be less sure than usual, or predict fewer classes, and still be the better one.
"""

from models.accuracy.information import mutual_information
from models.batchnorm import Float64
from models.manifest import AccuracyEstimate

LOST_INFORMATION = 1.5
MENDED = 1.4


def is_lost(parent: Float64, candidate: Float64, drift: float, explainable: float) -> bool:
    """Whether the parent has much less mutual information of rows and classes, and no mix of classes explains it.

    A version that mends this may predict fewer classes than the parent does usually, and still be the better one.

    Args:
        parent, candidate: probabilities of the rows' classes, shape (n, K).
        drift: symmetric KL divergence of the rows from the parent's statistics, mean over channels and layers.
        explainable: the drift that an unusual mix of classes may have.
    """
    has_lost = mutual_information(candidate) >= LOST_INFORMATION * mutual_information(parent)
    return has_lost and drift >= explainable


def is_mended(before: AccuracyEstimate, after: AccuracyEstimate, parent: Float64, candidate: Float64) -> bool:
    """Whether the new version is much better by two signs: the estimated accuracy, and the information of predictions.

    Rows of no class that it knows raise one of them, seldom both; moved rows of one class raise the first by less than
    the estimate is certain of.

    Args:
        before, after: estimated accuracy on the rows, of the parent and of the new version.
        parent, candidate: probabilities of the rows' classes, shape (n, K).
    """
    informs = mutual_information(candidate) >= MENDED * mutual_information(parent)
    return after.accuracy >= MENDED * before.accuracy and after.is_better_than(before) and informs
