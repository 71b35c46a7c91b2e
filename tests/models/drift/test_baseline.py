"""The spread of good traffic: the stated rate holds for windows whose rows resemble each other."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy import stats

from models.batchnorm import Float64
from models.drift.assessment import Assessment
from models.drift.baseline import MIN_WINDOWS, OVERALL, Baseline, allowed_exceedances, student_quantile
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


def of_blocks(windows: int, random: np.random.Generator) -> Float64:
    """Logarithms of scores: one window in 20 is of a kind that differs, as where one writer or class stands out."""
    return np.where(random.random(windows) < 0.05, random.normal(1.5, 0.1, windows), random.normal(0.0, 0.3, windows))


def true_rate(log_threshold: ArrayLike) -> Float64:
    """Of a window of `of_blocks`, independent of what is tested."""
    rate: Float64 = 0.05 * stats.norm.sf(log_threshold, 1.5, 0.1) + 0.95 * stats.norm.sf(log_threshold, 0.0, 0.3)
    return rate


def prediction_interval(values: Float64, rate: float) -> float:
    """The upper end of what one more value of a normal distribution is below: the control."""
    error = values.std(ddof=1) * np.sqrt(1 + 1 / len(values))
    return float(values.mean() + error * stats.t.ppf(1 - rate, len(values) - 1))


def test_the_rate_holds_for_blocks_that_make_the_tail_heavy_where_normal_intervals_break_it() -> None:
    random = np.random.default_rng(10)
    scores = [of_blocks(300, random) for _ in range(400)]

    found = true_rate(
        np.log(
            [Baseline(300, ROWS, 0.0, {OVERALL: tuple(np.exp(each))}).factor(OVERALL, ROWS, 0.01) for each in scores]
        )
    )
    by_normal_intervals = true_rate([prediction_interval(each, 0.01) for each in scores])

    assert found.mean() + 2 * stats.sem(found) < 0.0105
    assert found.mean() > 0.005
    assert by_normal_intervals.mean() > 0.03


def test_tolerance_limits_hold_by_nearly_every_baseline_also_where_the_tail_is_heavy() -> None:
    random = np.random.default_rng(11)
    baselines = [Baseline(500, ROWS, 0.0, {OVERALL: tuple(np.exp(of_blocks(500, random)))}) for _ in range(200)]

    found = true_rate(np.log([each.tolerance_factor(ROWS, 0.01) for each in baselines]))
    of_prediction = true_rate(np.log([each.factor(OVERALL, ROWS, 0.01) for each in baselines]))

    assert np.mean(found <= 0.01) > 0.9
    assert np.mean(of_prediction <= 0.01) < 0.8


@pytest.mark.parametrize(("windows", "rate"), [(30, 0.01), (299, 0.01), (500, 0.01), (1000, 0.05), (1000, 0.001)])
def test_exceedances_that_are_allowed_are_those_of_the_binomial_distribution(windows: int, rate: float) -> None:
    allowed = allowed_exceedances(windows, rate)

    assert allowed == 0 or stats.binom.cdf(allowed, windows, rate) <= 0.05
    assert stats.binom.cdf(allowed + 1, windows, rate) > 0.05


def test_a_baseline_tells_which_rate_it_supports_and_how_many_windows_another_one_takes() -> None:
    random = np.random.default_rng(12)
    values = random.normal(size=300)
    mixed, in_turn = (
        Baseline(300, ROWS, 0.0, {OVERALL: tuple(np.exp(each))}) for each in (values, np.repeat(values[:60], 5))
    )

    assert mixed.smallest_rate == pytest.approx(1 / 301, rel=0.2)
    assert mixed.windows_for(0.01) == pytest.approx(99, rel=0.2)
    assert in_turn.smallest_rate > 0.01
    assert in_turn.windows_for(0.01) > 300
    assert in_turn.windows_for(in_turn.smallest_rate) == pytest.approx(300, abs=1)
    assert in_turn.factor(OVERALL, ROWS, 0.01) >= np.exp(values[:60].max())
    few = Baseline(300, ROWS, 0.0)
    assert (few.smallest_rate, few.windows_for(0.01)) == (None, None)


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
