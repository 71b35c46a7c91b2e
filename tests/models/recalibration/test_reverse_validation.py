"""Rows, as they are predicted, classify held-out rows: well where the predictions are right, by chance where not."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from models.classification import kappa
from models.recalibration.reverse_validation import MIN_HELD_OUT_ROWS, ReverseValidation

CLASSES, VALUES = 5, 20
CENTRES = np.random.default_rng(0).normal(size=(CLASSES, VALUES))


def blobs(count: int, seed: int, centres: np.ndarray = CENTRES) -> tuple[np.ndarray, np.ndarray]:
    """Rows around the centre of their class, and their classes."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, len(centres), count)
    return (centres[classes] + 0.5 * random.normal(size=(count, VALUES))).astype(np.float32), classes


KEPT, KEPT_CLASSES = blobs(256, seed=1)


def validation(rows: np.ndarray) -> ReverseValidation:
    found = ReverseValidation.of({"input": rows}, {"input": KEPT}, KEPT_CLASSES)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [64, 256, 300])
def test_the_better_predictions_classify_held_out_rows_better(count: int) -> None:
    rows, classes = blobs(count, seed=2)
    shifted = 30 * rows + np.arange(VALUES, dtype=np.float32)  # no shift of all rows matters
    random = np.random.default_rng(3)
    half = np.where(random.random(count) < 0.5, classes, random.integers(0, CLASSES, count))

    found = validation(shifted)

    assert found.rows == min(count, 256)
    assert found.score(classes) == pytest.approx(1, abs=0.1)
    assert found.score(half) < found.score(classes)
    assert abs(found.score(random.permutation(classes))) < 0.35
    assert found.score((classes + 1) % CLASSES) < 0
    assert abs(found.score(np.zeros(count, np.int64))) < 1e-9


def test_rows_of_another_task_classify_badly_whatever_is_predicted() -> None:
    others, _ = blobs(200, seed=4, centres=np.random.default_rng(5).normal(size=(CLASSES, VALUES)))
    nearest = NearestCentroid().fit(KEPT, KEPT_CLASSES).predict(others)

    assert validation(others).score(nearest) < 0.75
    rows, _ = blobs(200, seed=4)
    assert validation(rows).score(NearestCentroid().fit(KEPT, KEPT_CLASSES).predict(rows)) > 0.9


def test_it_is_a_classifier_by_the_nearest_mean_row_relative_to_undisturbed_rows() -> None:
    """With one direction for each value, against scikit-learn: angles are distances of rows of length 1."""
    rows, classes = blobs(128, seed=6)
    predicted = np.where(np.random.default_rng(7).random(128) < 0.3, 0, classes)

    def standardized(values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(axis=0)
        spread = centred.std(axis=0)
        return centred / np.maximum(spread, 0.3 * np.sqrt(np.mean(spread**2)))

    kept = standardized(KEPT)
    _, lengths, axes = np.linalg.svd(kept, full_matrices=False)
    count = np.flatnonzero(np.cumsum(lengths**2) >= 0.9 * np.sum(lengths**2))[0] + 1
    known, own = (values @ (axes[:count].T / lengths[:count]) for values in (kept, standardized(rows)))

    def classified(fitted: np.ndarray, labels: np.ndarray, tried: np.ndarray) -> np.ndarray:
        means = np.array([fitted[labels == one].mean(axis=0) for one in range(CLASSES)])
        nearest = KNeighborsClassifier(1).fit(means / np.linalg.norm(means, axis=1, keepdims=True), range(CLASSES))
        return nearest.predict(tried)

    order = np.random.default_rng(0).permutation(256)
    usual = np.mean(
        [
            cohen_kappa_score(classified(known[part], KEPT_CLASSES[part], known[others]), KEPT_CLASSES[others])
            for part, others in ((order[:128], order[128:]), (order[128:], order[:128]))
        ]
    )
    expected = cohen_kappa_score(classified(own, predicted, known), KEPT_CLASSES) / usual
    assert validation(rows).score(predicted) == pytest.approx(expected, rel=1e-6)
    assert validation(rows).score(classes) != pytest.approx(expected, rel=1e-2)


def test_nothing_is_told_where_it_cannot_be() -> None:
    rows, _ = blobs(64, seed=8)
    few = MIN_HELD_OUT_ROWS - 1
    noise = np.random.default_rng(9).normal(size=KEPT.shape).astype(np.float32)

    def found(rows: np.ndarray, kept: np.ndarray, classes: np.ndarray) -> ReverseValidation | None:
        return ReverseValidation.of({"input": rows}, {"input": kept}, classes)

    assert found(rows, KEPT, KEPT_CLASSES) is not None
    assert found(rows, KEPT[:few], KEPT_CLASSES[:few]) is None
    assert found(rows, noise, KEPT_CLASSES) is None, "held-out rows do not classify each other"
    assert found(rows, np.zeros_like(KEPT), KEPT_CLASSES) is None
    assert found(rows.astype(np.int64), KEPT, KEPT_CLASSES) is None, "numbers of words are no values"


def test_kappa_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(10)
    some, others = random.integers(0, 4, 50), random.integers(1, 6, 50)

    assert kappa(some, others) == pytest.approx(cohen_kappa_score(some, others))
    assert kappa(np.zeros(5, np.int64), np.zeros(5, np.int64)) == 1
