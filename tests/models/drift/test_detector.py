"""Windows are judged as the docs say: quiet at the stated rate, loud when something large has moved."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from models.drift.assessment import Assessment
from models.drift.calibration import estimate
from models.drift.detector import Detector
from models.drift.reference import ExpectedMoments, standard_error
from models.drift.thresholds import threshold_at, usual_at
from models.errors import InvalidInput
from models.moments.window import WindowMoments
from models.observation import RowStatistics
from tests.models.drift.population import CLASSES, Rows, population, reference


@cache
def detector() -> Detector:
    return Detector(reference())


def assess(rows: Rows, labels: object = None, rate: float = 0.01) -> Assessment:
    window = {name: WindowMoments.of(found) for name, found in rows.items()}
    counts = None if labels is None else np.bincount(labels, minlength=CLASSES)
    return detector().assess(window, counts, rate)


@pytest.mark.parametrize("rows", [64, 256, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (16, 1024))])
def test_undisturbed_windows_of_new_rows_exceed_the_threshold_at_the_stated_rate(rows: int) -> None:
    windows = 1500
    for rate in (0.05, 0.01):
        alarms = 0
        found, _ = population(rows * 100, seed=rows)
        random = np.random.default_rng(3)
        for _ in range(windows):
            pick = random.choice(rows * 100, rows, replace=False)
            chosen = {name: statistics.take(pick) for name, statistics in found.items()}
            alarms += bool(assess(chosen, rate=rate).significant)
        # By one reference the rate is lower, so that it holds by nearly every reference: see the next test.
        assert alarms <= stats.binom.ppf(0.999, windows, rate * 1.2)
        assert alarms >= stats.binom.ppf(0.001, windows, rate / (2 if rows < 256 else 20))


@pytest.mark.slow
def test_the_rate_holds_by_most_references_and_not_if_their_error_is_taken_for_each_windows_own() -> None:
    size, held_out, rate, windows = 256, 512, 0.05, 200
    shared: list[float] = []
    independent: list[float] = []
    for number in range(12):
        known = estimate(*population(held_out, seed=100 + number), CLASSES)
        found, _ = population(windows * size, seed=500 + number)
        threshold = threshold_at(known, known.thresholds, size, rate)
        for rates, error in (
            (shared, standard_error(size, held_out)),
            (independent, np.sqrt(1 / size + 1 / held_out)),
        ):
            statistics = [
                ExpectedMoments.of_layer(layer).statistic(
                    *(
                        values.reshape(windows, size, -1).mean(axis=1)
                        for values in (found[name].mean, found[name].mean_square)
                    ),
                    error,
                    usual_at(known, layer, size),
                )
                for name, layer in known.layers.items()
            ]
            rates.append(float(np.mean(np.max(statistics, axis=0) > threshold)))

    assert np.mean(np.array(shared) <= rate) >= 0.6
    assert np.mean(np.array(independent) <= rate) <= 0.4


def test_a_large_shift_is_found_in_the_smallest_window_and_not_explained_by_classes() -> None:
    moved = assess(*population(16, seed=5, shift=2.0))

    assert moved.alarm
    assert moved.verdict == "covariate_shift"
    assert moved.layers["first"].significant
    assert moved.symmetric_kl > 0.1


def test_the_same_rows_without_the_shift_are_quiet() -> None:
    quiet = assess(*population(16, seed=5))

    assert quiet.verdict == "quiet"
    assert quiet.statistic < quiet.threshold


def test_a_shift_of_the_labels_alone_is_called_that() -> None:
    skewed = assess(*population(512, seed=6, shares=(0.97, 0.01, 0.01, 0.01)))
    also_moved = assess(*population(512, seed=6, shares=(0.97, 0.01, 0.01, 0.01), shift=1.0))

    assert skewed.verdict == "label_shift_likely"
    assert also_moved.verdict == "covariate_shift"


def test_other_classes_are_large_even_where_the_layers_move_little() -> None:
    window = {name: WindowMoments.of(found) for name, found in population(4096, seed=7, shift=0.1)[0].items()}

    same, others = detector().assess(window, [1024] * 4), detector().assess(window, [2048, 2048, 0, 0])

    assert same.significant
    assert same.verdict == "quiet"
    assert others.classes.distance == pytest.approx(0.5, abs=0.03)
    assert others.verdict == "covariate_shift"


def test_what_is_significant_but_small_is_no_alarm() -> None:
    tiny = assess(*population(100_000, seed=7, shift=0.06))

    assert tiny.significant
    assert tiny.symmetric_kl < 0.05
    assert tiny.verdict == "quiet"


def test_too_few_rows_are_not_judged() -> None:
    few = assess(*population(15, seed=8, shift=5.0))

    assert few.verdict == "not_enough_rows"
    assert few.statistic is None
    assert not few.alarm
    assert Detector(reference()).assess({}).verdict == "not_enough_rows"


def test_without_held_out_rows_sizes_are_shown_and_nothing_is_judged() -> None:
    rows, _ = population(64, seed=9, shift=3.0)
    shown = Detector(None).assess({name: WindowMoments.of(found) for name, found in rows.items()})

    assert shown.verdict == "uncalibrated"
    assert not shown.alarm
    assert shown.symmetric_kl > 0.5
    with pytest.raises(InvalidInput, match="held-out rows"):
        Detector(None).row_scores(rows)


@pytest.mark.parametrize("rate", [0.5, 1e-5, 0.0, -1.0, float("nan")])
def test_rates_that_were_not_measured_are_refused(rate: float) -> None:
    with pytest.raises(InvalidInput, match="false_alarm_rate"):
        assess(*population(32, seed=1), rate=rate)


def test_single_rows_score_above_one_at_the_stated_rate_and_name_their_layer() -> None:
    rows, _ = population(20_000, seed=10)
    scores, _ = detector().row_scores(rows, 0.01)
    assert 0.005 < (scores > 1).mean() < 0.02

    strange = {
        "first": rows["first"].take(np.arange(3)),
        "second": RowStatistics(rows["second"].mean[:3] + 30, rows["second"].mean_square[:3] + 900),
    }
    scores, deviant = detector().row_scores(strange)
    assert (scores > 1).all()
    assert (deviant == 1).all()

    by_layer = detector().layer_scores(strange)
    assert list(by_layer) == ["first", "second"]
    assert (by_layer["second"] > 1).all()
    assert (by_layer["second"] > by_layer["first"]).all()
    for scores in detector().layer_scores(rows, 0.01).values():
        assert 0.005 < (scores > 1).mean() < 0.02


def test_the_classes_of_a_window_are_judged_at_the_stated_rate() -> None:
    significant = [assess(*population(64, seed=seed)).classes.significant for seed in range(400)]
    skewed = assess(*population(64, seed=6, shares=(0.7, 0.1, 0.1, 0.1))).classes

    assert np.mean(significant) < 0.03
    assert skewed.significant
    assert skewed.explains_shift


def test_a_class_that_no_held_out_row_was_taken_for_explains_nothing() -> None:
    rows, labels = population(1000, seed=0, shares=(0.4, 0.3, 0.3, 0.0))
    given = {name: WindowMoments.of(found) for name, found in population(256, seed=1)[0].items()}
    found = Detector(estimate(rows, labels, CLASSES)).assess(given, [64, 64, 64, 64])

    assert found.classes.significant
    assert found.classes.explains_shift is False
    assert found.verdict == "covariate_shift"


def test_many_channels_that_have_moved_a_little_together_are_found() -> None:
    rows, labels = population(16, seed=12)
    calm = {name: RowStatistics(found.mean * 0.3, found.mean_square * 0.09) for name, found in rows.items()}

    assert assess(calm, labels).verdict == "covariate_shift"  # no channel by itself is off by much
    assert assess(rows, labels).verdict == "quiet"


def test_a_row_that_is_no_number_scores_highest_and_is_kept_out_of_moments() -> None:
    rows, _ = population(20, seed=13)
    broken = {name: RowStatistics(found.mean.copy(), found.mean_square.copy()) for name, found in rows.items()}
    broken["second"].mean[3], broken["second"].mean_square[5, 1] = np.nan, np.inf

    scores, deviant = detector().row_scores(broken)
    window = {name: WindowMoments.of(found) for name, found in broken.items()}

    assert np.isfinite(scores).all()
    assert scores[[3, 5]].min() > 1e6 * np.delete(scores, [3, 5]).max()
    assert (deviant[[3, 5]] == 1).all()
    assert [window["first"].count, window["second"].count] == [20, 18]
    assert np.isfinite(detector().assess(window).statistic)
