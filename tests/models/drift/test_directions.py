"""Directions in which channels hardly vary together: `models.drift.directions`, against Hotelling's statistic."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from models.batchnorm import Float64
from models.drift import calibration
from models.drift.calibration import estimate
from models.drift.detector import Detector
from models.drift.directions import MAX_CHANNELS, Directions, choose_channels, directions_per_layer
from models.manifest import DriftReference, LayerDirections
from models.moments.window import WindowMoments
from models.observation import RowStatistics
from tests.models.drift.population import fitted_halves

CHANNELS = 4
NUMBERS = 2 * CHANNELS


def correlated(rows: int, seed: int) -> Float64:
    """Numbers of a normal distribution with variance 1 and known correlations, shape (rows, NUMBERS)."""
    common = np.random.default_rng(7).normal(size=(NUMBERS, 2))
    values = np.random.default_rng(seed).normal(size=(rows, 2)) @ common.T
    values += 0.3 * np.random.default_rng(seed + 1).normal(size=(rows, NUMBERS))
    return values / np.sqrt(np.square(common).sum(axis=1) + 0.09)


def split(both: Float64) -> tuple[Float64, Float64]:
    return both[..., :CHANNELS], both[..., CHANNELS:]


def test_t_squared_over_all_directions_is_hotellings() -> None:
    rows = correlated(100_000, seed=0)
    directions = Directions.of_rows(*split(rows), NUMBERS)
    windows = correlated(4000 * 25, seed=2).reshape(4000, 25, NUMBERS).mean(axis=1)

    found = directions.t_squared(*split(windows))

    ridge = 0.01 + 0.3 * NUMBERS / len(rows)
    covariance = rows.T @ rows / len(rows) + ridge * np.eye(NUMBERS)
    np.testing.assert_allclose(found, np.einsum("wi,ij,wj->w", windows, np.linalg.inv(covariance), windows), rtol=5e-3)
    # In squared standard errors, T^2 of normal numbers has a chi-squared distribution, a little less for the ridge.
    exceeded = np.mean(25 * found > stats.chi2(NUMBERS).ppf(0.95))
    assert 0.02 < exceeded <= 0.06
    wrong = Directions.of_rows(*split(np.random.default_rng(3).permuted(rows, axis=0)), NUMBERS)  # uncorrelated
    assert np.mean(25 * wrong.t_squared(*split(windows)) > stats.chi2(NUMBERS).ppf(0.95)) > 0.1


def test_the_directions_are_those_in_which_rows_vary_least() -> None:
    rows = correlated(5000, seed=0)

    few = Directions.of_rows(*split(rows), 3)

    variances = np.linalg.eigvalsh(rows.T @ rows / len(rows))
    along = np.square(rows @ few.weights.T).mean(axis=0)
    np.testing.assert_allclose(along, variances[:3] / (variances[:3] + 0.01 + 0.3 * NUMBERS / 5000), rtol=5e-3)


def test_the_manifest_gives_the_directions_back() -> None:
    directions = Directions.of_rows(*split(correlated(500, seed=0)), 5)

    again = Directions.of_layer(directions.stated())

    np.testing.assert_array_equal(again.channels, directions.channels)
    np.testing.assert_array_equal(again.weights, directions.weights)
    assert again.weights.shape == (5, NUMBERS)


@pytest.mark.parametrize("weights", ["", "AAAA", "not base64!"])
def test_weights_that_do_not_fit_the_channels_are_refused(weights: str) -> None:
    with pytest.raises(ValidationError, match=r"weights|directions"):
        LayerDirections(channels=(0, 1), weights=weights)


def test_wide_layers_and_deep_networks_have_fewer_numbers() -> None:
    assert choose_channels(3).tolist() == [0, 1, 2]
    assert len(choose_channels(5000)) == len(set(choose_channels(5000).tolist())) == MAX_CHANNELS
    assert directions_per_layer({"norm": 64}) == 64
    assert directions_per_layer({str(number): 2048 for number in range(53)}) == 29
    assert directions_per_layer({str(number): 2048 for number in range(5000)}) == 8


def layer(values: Float64) -> dict[str, RowStatistics]:
    mean, square = np.split(values, 2, axis=-1)
    return {"norm": RowStatistics(mean, 10 + square)}


def significant(detector: Detector, rows: dict[str, RowStatistics]) -> bool:
    found = detector.assess({name: WindowMoments.of(statistics) for name, statistics in rows.items()}).significant
    assert found is not None
    return found


def share_significant(detector: Detector, off: Float64 | float, windows: int = 300) -> float:
    """Of windows of 64 new rows that are off by this much."""
    values = correlated(64 * windows, seed=10).reshape(windows, 64, NUMBERS) + off
    return float(np.mean([significant(detector, layer(window)) for window in values]))


def test_what_channels_have_in_common_and_lose_is_found_at_the_rate_that_is_promised() -> None:
    rows = layer(correlated(4000, seed=0))
    reference = estimate(rows, None, 0)
    spreads = np.concatenate([rows["norm"].mean.std(axis=0), rows["norm"].mean_square.std(axis=0)])
    quiet = np.linalg.eigh(np.corrcoef(correlated(4000, seed=0).T))[1][:, 0] * spreads
    norm = reference.layers["norm"]
    blind = reference.model_copy(
        update={"layers": {"norm": norm.model_copy(update={"directions": None, "usual_t_squared": ()})}}
    )

    assert share_significant(Detector(reference), 0.0) < 0.03
    assert share_significant(Detector(reference), 0.25 * quiet) > 0.95
    assert share_significant(Detector(blind), 0.25 * quiet) < 0.1  # no channel is off by much


def test_few_held_out_rows_do_not_raise_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)

    def false_alarms() -> float:
        """Share of windows of 16 rows that 100 others, of 60 numbers, let appear significant at 1 %."""
        detector = Detector(estimate(layer(random.normal(size=(100, 60))), None, 0))
        return float(np.mean([significant(detector, layer(random.normal(size=(16, 60)))) for _ in range(200)]))

    assert np.mean([false_alarms() for _ in range(5)]) < 0.03

    monkeypatch.setattr(calibration, "_halves", fitted_halves)
    assert false_alarms() > 0.3  # thresholds of the rows that the directions are from


def test_channels_that_depend_on_each_other_exactly_raise_no_false_alarms() -> None:
    random = np.random.default_rng(0)
    mixed = random.normal(size=(10, 140))  # as behind a convolution that makes 70 channels of 5
    detector = Detector(estimate(layer(random.normal(size=(300, 10)) @ mixed / 4), None, 0))

    windows = [layer(random.normal(size=(64, 10)) @ mixed / 4) for _ in range(200)]

    assert np.mean([significant(detector, window) for window in windows]) < 0.1
    assert significant(detector, layer(random.normal(size=(64, 10)) @ mixed / 4 + random.normal(size=140) / 3))


def test_an_earlier_releases_reference_has_no_directions() -> None:
    reference = estimate(layer(correlated(200, seed=0)), None, 0)
    stated = reference.model_dump()
    for name in ("directions", "usual_t_squared"):
        del stated["layers"]["norm"][name]

    again = DriftReference.model_validate(stated)

    assert again.layers["norm"].directions is None
    assert Detector(again).assess({"norm": WindowMoments.of(layer(correlated(64, seed=5))["norm"])}).statistic
    stated["layers"]["norm"]["directions"] = reference.layers["norm"].directions
    with pytest.raises(ValidationError, match="one per window"):
        DriftReference.model_validate(stated)
