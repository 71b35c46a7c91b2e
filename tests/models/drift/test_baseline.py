"""The spread of good traffic: the stated rate holds for windows whose rows resemble each other."""

import numpy as np
import pytest
from scipy import stats

from models.drift.assessment import Assessment
from models.drift.baseline import MIN_WINDOWS, OVERALL, Baseline, student_quantile
from models.drift.detector import Detector
from models.errors import InvalidInput
from models.moments.window import WindowMoments
from models.observation import RowStatistics
from tests.models.drift.population import CLASSES, Rows, population, reference

ROWS = 64
DETECTOR = Detector(reference())


def correlated(count: int, seed: int, shift: float = 0.0) -> list[tuple[Rows, object]]:
    """Windows of rows that come in runs of 16, which have something in common."""
    random = np.random.default_rng(seed)
    found, labels = population(count * ROWS, seed, shift=shift)
    common = np.repeat(0.3 * random.normal(size=(count * ROWS // 16, 16)), 16, axis=0)
    moved = {
        name: RowStatistics(rows.mean + common[:, part], rows.mean_square + np.square(common[:, part]))
        for (name, rows), part in zip(found.items(), (slice(0, 6), slice(6, 16)), strict=True)
    }
    windows = [slice(start, start + ROWS) for start in range(0, count * ROWS, ROWS)]
    return [({name: rows.take(window) for name, rows in moved.items()}, labels[window]) for window in windows]


def assess(window: tuple[Rows, object], baseline: Baseline | None = None, rate: float = 0.01) -> Assessment:
    rows, labels = window
    moments = {name: WindowMoments.of(found) for name, found in rows.items()}
    return DETECTOR.assess(moments, np.bincount(labels, minlength=CLASSES), rate, baseline)


@pytest.fixture(scope="module")
def learned() -> Baseline:
    baseline = Baseline(100, ROWS, 0.0)
    for window in correlated(100, seed=1):
        assert not baseline.is_complete
        baseline = baseline.add(assess(window))
    return baseline


@pytest.mark.parametrize("freedom", [3, 10, 99])
def test_quantiles_are_those_of_student(freedom: int) -> None:
    found = student_quantile(stats.norm.ppf(0.99), freedom)

    assert found == pytest.approx(stats.t.ppf(0.99, freedom), rel=0.02)
    assert stats.norm.ppf(0.99) != pytest.approx(stats.t.ppf(0.99, freedom), rel=0.01)


def test_the_rate_holds_for_correlated_rows_once_the_baseline_is_complete(learned: Baseline) -> None:
    windows = correlated(400, seed=2)
    statistics = np.array([assess(window).statistic for window in windows])

    assert np.mean(statistics > assess(windows[0]).threshold) > 0.1  # by the thresholds for independent rows
    for rate in (0.05, 0.01):
        found = np.count_nonzero(statistics > assess(windows[0], learned, rate).threshold)
        assert stats.binom.ppf(0.001, 400, rate / 3) <= found <= stats.binom.ppf(0.999, 400, 2 * rate)


def test_a_shift_is_found_beyond_the_spread_of_good_traffic(learned: Baseline) -> None:
    found = [assess(window, learned) for window in correlated(20, seed=3, shift=1.0)]

    assert all(window.significant for window in found)
    assert all(window.layers["first"].significant for window in found)


def test_a_baseline_of_independent_rows_like_the_held_out_ones_changes_little() -> None:
    baseline = Baseline(100, ROWS, 0.0)
    rows, labels = population(100 * ROWS, seed=4)
    for start in range(0, 100 * ROWS, ROWS):
        window = slice(start, start + ROWS)
        baseline = baseline.add(assess(({name: found.take(window) for name, found in rows.items()}, labels[window])))

    assert baseline.significant_before <= 0.05
    assert 1 <= DETECTOR.raised_by(baseline) <= 1.3


def test_thresholds_do_not_change_before_the_baseline_is_complete(learned: Baseline) -> None:
    part = Baseline(101, ROWS, 0.0, learned.scores)
    (window,) = correlated(1, seed=5)

    assert assess(window, part) == assess(window)
    assert assess(window, learned) != assess(window)
    assert learned.add(assess(window)) is learned


def test_every_statistic_has_its_factor(learned: Baseline) -> None:
    (window,) = correlated(1, seed=6)
    found, independent = assess(window, learned), assess(window)

    for name, layer in found.layers.items():
        assert layer.threshold > independent.layers[name].threshold
    assert found.threshold / independent.threshold == pytest.approx(learned.factor(OVERALL, ROWS, 0.01))
    assert found.classes is not None
    assert found.classes.unexplained < independent.classes.unexplained


def test_larger_windows_have_larger_factors_and_smaller_ones_the_same(learned: Baseline) -> None:
    factors = [learned.factor(OVERALL, rows, 0.01) for rows in (16, ROWS, ROWS**2)]

    assert factors == pytest.approx([factors[1], factors[1], factors[1] ** 2])


def test_windows_that_resemble_their_neighbours_count_for_fewer() -> None:
    random = np.random.default_rng(7)
    values = random.normal(size=100)
    slow = np.repeat(values[:20], 5)
    baselines = [Baseline(100, ROWS, 0.0, {OVERALL: tuple(np.exp(each))}) for each in (slow, random.permutation(slow))]

    in_turn, mixed = (baseline.factor(OVERALL, ROWS, 0.01) for baseline in baselines)

    assert in_turn > 1.1 * mixed


def test_tolerance_limits_hold_by_nearly_every_baseline_and_prediction_limits_by_half_of_them() -> None:
    windows, rate = 300, 0.01
    random = np.random.default_rng(8)
    baselines = [
        Baseline(windows, ROWS, 0.0, {OVERALL: tuple(np.exp(0.3 * random.normal(size=windows)))}) for _ in range(200)
    ]

    def share_that_holds(factors: list[float]) -> float:
        return float(np.mean(stats.norm.sf(np.log(factors) / 0.3) <= rate))  # the true rate of each

    assert share_that_holds([each.tolerance_factor(ROWS, rate) for each in baselines]) > 0.9
    assert share_that_holds([each.factor(OVERALL, ROWS, rate) for each in baselines]) < 0.8


def test_a_rate_that_a_baseline_is_too_short_for_has_no_limit_or_the_largest_window(learned: Baseline) -> None:
    known = Baseline(learned.windows, ROWS, 0.0, {OVERALL: (*learned.scores[OVERALL][1:], 1e3)})

    assert learned.tolerance_factor(ROWS, 0.1) > learned.factor(OVERALL, ROWS, 0.1)
    assert known.tolerance_factor(ROWS, 0.02) == pytest.approx(1e3)
    assert known.tolerance_factor(ROWS, 0.1) < 1e3
    assert np.isinf(learned.tolerance_factor(ROWS, 0.001))


@pytest.mark.parametrize(("correlation", "block"), [(0.0, 1), (0.5, 3)])
def test_windows_of_a_block_count_as_one(correlation: float, block: int) -> None:
    random = np.random.default_rng(9)
    values = [0.0]
    for step in random.normal(size=1000):
        values.append(correlation * values[-1] + np.sqrt(1 - correlation**2) * step)
    baseline = Baseline(1000, ROWS, 0.0, {OVERALL: tuple(np.exp(values[1:]))})

    assert baseline.independent_windows == pytest.approx(1000 * (1 - correlation) / (1 + correlation), rel=0.15)
    assert baseline.block_windows == block
    assert (Baseline(100, ROWS, 0.0).independent_windows, Baseline(100, ROWS, 0.0).block_windows) == (None, 1)


def test_no_factor_follows_from_few_windows_or_for_an_unknown_statistic(learned: Baseline) -> None:
    few = Baseline(MIN_WINDOWS, ROWS, 0.0, {OVERALL: (2.0,) * (MIN_WINDOWS - 1)})

    assert few.factor(OVERALL, ROWS, 0.01) == learned.factor("layer third", ROWS, 0.01) == 0


def test_without_a_reference_there_is_nothing_to_raise(learned: Baseline) -> None:
    with pytest.raises(InvalidInput, match="no held-out rows"):
        Detector(None).raised_by(learned)
