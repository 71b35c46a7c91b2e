"""What held-out rows say of undisturbed windows: `models.drift.calibration`."""

import numpy as np
import pytest

from models.drift import calibration
from models.drift.calibration import WINDOWS, estimate
from models.drift.detector import Detector
from models.errors import InvalidInput
from models.manifest import DriftReference
from models.moments.window import WindowMoments
from models.observation import RowStatistics
from tests.models.drift.population import CLASSES, fitted_halves, population, reference


def test_thresholds_rise_as_the_rate_falls_and_what_is_usual_falls_with_the_window() -> None:
    table = np.array(reference().thresholds)

    assert reference().windows == WINDOWS
    assert (np.diff(table, axis=1) >= 0).all()  # rates descend
    usual = np.array(reference().layers["first"].usual_deviation)
    assert usual[0] > usual[-1]  # averages of more rows have lighter tails


def test_thresholds_need_rows() -> None:
    rows, labels = population(63, seed=0)
    with pytest.raises(InvalidInput, match="63 held-out rows"):
        estimate(rows, labels, CLASSES)
    rows, labels = population(64, seed=0)
    assert estimate(rows, labels, CLASSES).windows == (1, 16)
    assert estimate(rows, None, CLASSES).classes is None


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_held_out_rows_that_are_not_finite_are_named(value: float) -> None:
    rows, labels = population(80, seed=0)
    rows["second"].mean_square[[3, 7], 2] = value

    with pytest.raises(InvalidInput, match=r"layer 'second' .* 2 of 80 held-out rows, the first of which is row 3"):
        estimate(rows, labels, CLASSES)


def test_the_reference_survives_json() -> None:
    again = DriftReference.model_validate_json(reference().model_dump_json())

    assert again == reference()
    with pytest.raises(ValueError, match="thresholds"):
        DriftReference.model_validate(reference().model_dump() | {"thresholds": ((1.0,),)})


def test_the_rate_holds_for_many_channels_with_long_tails_and_few_held_out_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)

    def rows(count: int) -> dict[str, RowStatistics]:
        return {"norm": RowStatistics(random.normal(size=(count, 400)), np.exp(1.5 * random.normal(size=(count, 400))))}

    def false_alarms() -> float:
        """Share of windows of 64 rows that are significant at 1 %, by 256 others."""
        detector = Detector(estimate(rows(256), None, 0))
        windows = [detector.assess({"norm": WindowMoments.of(rows(64)["norm"])}) for _ in range(100)]
        return float(np.mean([bool(window.significant) for window in windows]))

    assert false_alarms() < 0.1
    monkeypatch.setattr(calibration, "_halves", fitted_halves)
    assert false_alarms() > 0.3  # by the spreads of the very rows
