"""Estimated accuracy of a starter model on shifts that it was not calibrated on."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from models import starter
from models.classification import predicted_classes, probabilities
from models.datatypes import Arrays
from models.graph.adapt import restate
from models.graph.load import parse
from models.recalibration.accuracy import AccuracyEstimator
from models.recalibration.adaptation import AdaptiveNetwork
from models.repository import held_out
from models.repository.repository import Repository

BUNDLE = Repository(Path(starter.__file__).parent).read("mlp", 1)
NETWORK = AdaptiveNetwork(parse(BUNDLE.source))
assert BUNDLE.held_out is not None
KEPT = held_out.unpack(BUNDLE.held_out, BUNDLE.manifest.inputs)


@pytest.fixture(scope="module")
def estimator() -> AccuracyEstimator:
    found = AccuracyEstimator.calibrate(BUNDLE.manifest, NETWORK, KEPT)
    assert found is not None
    return found


def test_the_estimate_follows_the_accuracy_on_shifts_of_another_kind(estimator: AccuracyEstimator) -> None:
    """A gradient of light over the image: the held-out rows, and what the model predicts for them undisturbed."""
    rows = KEPT["input"]
    truth = predicted_classes(NETWORK.run(KEPT, 1.0).outputs["logits"])
    light = np.tile(np.linspace(1, -0.3, 28, dtype=np.float32), 28)
    for amount in (0.0, 0.2, 0.5):
        shifted = {"input": rows + amount * light}
        before, after = NETWORK.run(shifted, 1.0), NETWORK.run(shifted)
        found = estimator.estimate(before, after)
        for estimate, passed in zip(found, (before, after), strict=True):
            accuracy = np.mean(predicted_classes(passed.outputs["logits"]) == truth)
            assert estimate.accuracy == pytest.approx(accuracy, abs=0.12)
            assert estimate.low <= estimate.accuracy <= estimate.high


def test_digits_of_other_writers_are_known_to_be_recognized_less_often(estimator: AccuracyEstimator) -> None:
    pixels, labels = load_digits(return_X_y=True)
    images = np.kron(pixels.reshape(-1, 8, 8) / 16, np.ones((3, 3)))
    rows = {"input": np.pad(images, ((0, 0), (2, 2), (2, 2))).reshape(-1, 784).astype(np.float32)[:256]}
    before, after = NETWORK.run(rows, 1.0), NETWORK.run(rows)
    accuracy = np.mean(predicted_classes(before.outputs["logits"]) == labels[:256])

    estimate, _ = estimator.estimate(before, after)

    assert accuracy < 0.6
    assert estimate.accuracy == pytest.approx(accuracy, abs=0.15)


def test_versions_of_the_same_weights_are_estimated_by_the_same_estimator(estimator: AccuracyEstimator) -> None:
    """A version for bright images, on these and on usual ones: by its own estimator it is the other way round."""
    truth = predicted_classes(NETWORK.run(KEPT, 1.0).outputs["logits"])
    bright = {"input": np.clip(KEPT["input"] + 0.3, 0, 1).astype(np.float32)}
    made = AdaptiveNetwork(restate(parse(BUNDLE.source), NETWORK.run(bright).mixed))
    own = AccuracyEstimator.calibrate(BUNDLE.manifest, made, KEPT)
    assert own is not None
    errors, errors_of_own = [], []
    for rows in (KEPT, bright):
        passed = made.run(rows, 1.0)
        accuracy = np.mean(predicted_classes(passed.outputs["logits"]) == truth)
        predicted = probabilities(passed.outputs["logits"], BUNDLE.manifest.scores)
        errors.append(estimator.estimate_other(predicted, NETWORK.run(rows)).accuracy - accuracy)
        errors_of_own.append(own.estimate(passed, made.run(rows))[0].accuracy - accuracy)

    assert np.abs(errors).max() < 0.12
    assert np.abs(errors_of_own).min() > 0.5


def test_where_classes_explain_the_shift_the_twin_is_not_asked(estimator: AccuracyEstimator) -> None:
    predicted = predicted_classes(NETWORK.run(KEPT, 1.0).outputs["logits"])
    ones = {"input": KEPT["input"][predicted == 1]}
    passes = NETWORK.run(ones, 1.0), NETWORK.run(ones)

    assert estimator.estimate(*passes)[0].accuracy < 0.6  # the twin is wrong, not the model
    assert estimator.estimate(*passes, is_label_shift=True)[0].accuracy > 0.9


def test_the_gain_of_the_twin_is_that_of_its_right_classes(estimator: AccuracyEstimator) -> None:
    truth = predicted_classes(NETWORK.run(KEPT, 1.0).outputs["logits"])
    bright = {"input": np.clip(KEPT["input"] + 0.3, 0, 1).astype(np.float32)}
    for rows in (KEPT, bright):
        before, after = NETWORK.run(rows, 1.0), NETWORK.run(rows)
        right = [np.mean(predicted_classes(found.outputs["logits"]) == truth) for found in (before, after)]
        found = estimator.estimate_gain(probabilities(before.outputs["logits"], BUNDLE.manifest.scores), after)

        assert found is not None
        assert found.low <= right[1] - right[0] <= found.high
        assert (found.low > 0) == (rows is bright)


@pytest.mark.parametrize(
    "rows",
    [
        {"input": KEPT["input"][:8]},
        {"input": KEPT["input"].astype(np.int64)},
        {"input": KEPT["input"], "another": KEPT["input"]},
    ],
    ids=["too few", "integers", "two inputs"],
)
def test_without_rows_that_can_be_shifted_there_is_no_estimate(rows: Arrays) -> None:
    assert AccuracyEstimator.calibrate(BUNDLE.manifest, NETWORK, rows) is None


def test_a_network_that_takes_too_long_gets_no_estimate() -> None:
    assert AccuracyEstimator.calibrate(BUNDLE.manifest, NETWORK, KEPT, max_seconds=0.0) is None
