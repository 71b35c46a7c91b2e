"""What the parent and the new version are like on the rows: it decides how much the gates ask for.

A version that repairs much may be less sure than usual, or predict fewer classes, and still be the better one.
"""

from math import sqrt

from models.accuracy.information import mutual_information
from models.batchnorm import Float64
from models.classification import predicted_classes
from models.manifest import AccuracyEstimate
from models.recalibration.reverse_validation import ReverseValidation

LOST_INFORMATION = 1.5
MENDED = 1.4
LEAST_RECOGNIZED, RECOGNIZED_BY_CHANCE = 0.1, 1.6
"""The second over the square root of the number of rows: 0.3 in all for 64 rows, 0.2 for 256. Rows of another task in
`benchmarks.cases` "tuning" reached 0.24 and 0.13 at most."""


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


def is_recognized(validation: ReverseValidation | None, parent: Float64, candidate: Float64) -> bool:
    """Whether the rows classify held-out rows much better by the new version's predictions than by the parent's.

    So they are of classes that it knows, and it reads these off the rows, however uncertain it is. Rows of another task
    are spread over the classes by both versions, and classify about as badly by either.

    Args:
        validation: of the rows; None where it is not possible.
        parent, candidate: probabilities of the rows' classes, shape (n, K).
    """
    if validation is None:
        return False
    before, after = (validation.score(predicted_classes(found)) for found in (parent, candidate))
    return after - before >= LEAST_RECOGNIZED + RECOGNIZED_BY_CHANCE / sqrt(validation.rows)
