"""Agreement adds up over blocks, and the accuracy that it means is that of undisturbed rows where nothing has moved."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit as scipy_logit
from scipy.stats import entropy

from models.accuracy.agreement import NO_ROWS, Agreement, CurrentAccuracy
from models.accuracy.agreement_estimator import AgreementEstimator
from models.accuracy.estimator import Estimator
from models.accuracy.gain import GainEstimator
from models.accuracy.logistic import LogisticRegression


def probabilities(seed: int, rows: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(5, 0.4), rows)


@pytest.fixture(scope="module")
def estimator() -> AgreementEstimator:
    random = np.random.default_rng(0)
    signs = random.normal([1.0, 0.5, 1.2], [1.0, 1.0, 0.3], size=(80, 3))
    accuracy = 1 / (1 + np.exp(1.5 - signs.sum(axis=1)))
    regression = Estimator.fit(signs, accuracy, [f"kind {index % 8}" for index in range(80)])
    return AgreementEstimator.fit(regression, probabilities(9, 500), 0.95, block_rows=50)


def test_shares_are_those_of_the_rows() -> None:
    network, twin = probabilities(0), probabilities(1)
    found = Agreement.of(network, twin, 0.8)

    classes = network.argmax(axis=1)
    assert found.share == np.mean(classes == twin.argmax(axis=1))
    given = np.mean([row[chosen] for row, chosen in zip(twin, classes, strict=True)])
    mean = twin.mean(axis=0)
    information = np.mean([entropy(row, mean) for row in twin])  # the mean divergence of the rows from their average
    np.testing.assert_allclose(found.signs, [*scipy_logit([found.share, given]), information])
    assert found.confident == np.sum(network.max(axis=1) >= 0.8)


def test_blocks_add_up_to_all_rows() -> None:
    network, twin = probabilities(2), probabilities(3)
    blocks = [Agreement.of(network[part], twin[part], 0.7) for part in (slice(0, 10), slice(10, 45), slice(45, 60))]

    merged = sum(blocks, NO_ROWS)

    whole = Agreement.of(network, twin, 0.7)
    assert (merged.rows, merged.agreed, merged.confident) == (whole.rows, whole.agreed, whole.confident)
    assert merged.given == pytest.approx(whole.given)
    by_block = [block.rows * block.signs[2] for block in blocks]
    assert merged.sure == pytest.approx(whole.sure)
    assert merged.signs[2] == pytest.approx(sum(by_block) / 60)  # within blocks: a twin belongs to one


def test_the_estimate_for_undisturbed_rows_is_their_accuracy(estimator: AgreementEstimator) -> None:
    usual, moved = Agreement(100, 90, 80.0, 98, 150.0), Agreement(100, 40, 30.0, 60, 60.0)
    relative = estimator.relative_to(usual)

    assert relative.estimate(usual).accuracy == pytest.approx(0.95)
    assert relative.estimate(moved).accuracy < 0.6
    assert estimator.estimate(usual).accuracy != pytest.approx(0.95, abs=0.01)


def test_where_classes_explain_the_shift_confident_rows_are_counted(estimator: AgreementEstimator) -> None:
    moved = Agreement(100, 10, 5.0, 97, 50.0)

    assert estimator.estimate(moved).accuracy < 0.3
    assert estimator.estimate(moved, is_label_shift=True).accuracy == 0.97


def test_fewer_rows_than_a_block_have_no_estimate(estimator: AgreementEstimator) -> None:
    assert estimator.current(Agreement(49, 40, 30.0, 45, 70.0)) is None
    current = estimator.current(Agreement(50, 40, 30.0, 45, 70.0))
    assert current is not None
    assert (current.rows, current.usual) == (50, 0.95)
    assert current.low <= current.value <= current.high


def test_an_estimator_survives_as_json(estimator: AgreementEstimator) -> None:
    again = AgreementEstimator.from_json(estimator.to_json())

    agreement = Agreement(100, 40, 30.0, 60, 60.0)
    assert again.current(agreement) == estimator.current(agreement)
    damaged = json.dumps({"regression": {}}).encode()
    with pytest.raises(KeyError):
        AgreementEstimator.from_json(damaged)


def test_what_the_twin_gains_survives_as_json_and_is_optional(estimator: AgreementEstimator) -> None:
    signs = np.random.default_rng(5).normal(size=(20, 2))
    gains = GainEstimator(LogisticRegression.fit(signs, np.full(20, 0.9), ridge=0.01), 0.2)
    learned = replace(estimator, gains=gains)
    found = Agreement(100, 80, 30.0, 60, 60.0, 20.0)

    expected = gains.estimate(found)
    assert AgreementEstimator.from_json(learned.to_json()).twin_gain(found) == expected
    older = json.dumps({name: value for name, value in json.loads(learned.to_json()).items() if name != "gains"})
    assert AgreementEstimator.from_json(older.encode()).twin_gain(found) is None
    assert learned.twin_gain(found, is_label_shift=True) is None
    assert learned.twin_gain(replace(found, rows=49, agreed=40)) is None  # less than a block


def test_the_sentence_says_whether_the_accuracy_fell() -> None:
    fell, is_usual = CurrentAccuracy(0.87, 0.81, 0.92, 0.993, 256), CurrentAccuracy(0.98, 0.91, 1.0, 0.993, 256)

    assert str(fell) == "Estimated accuracy fell from 99.3 % to 87.0 % (81 to 92)."
    assert str(is_usual) == "Estimated accuracy is 98.0 % (91 to 100)."


def test_where_both_make_the_same_mistakes_the_twin_s_information_tells_it(estimator: AgreementEstimator) -> None:
    sure, unsure = Agreement(100, 90, 80.0, 98, 150.0), Agreement(100, 90, 80.0, 98, 60.0)

    assert estimator.estimate(unsure).accuracy < estimator.estimate(sure).accuracy - 0.03
