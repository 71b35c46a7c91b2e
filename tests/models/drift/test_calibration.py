"""What held-out rows say of undisturbed windows: `models.drift.calibration`."""

import numpy as np
import pytest

from models.drift.calibration import WINDOWS, estimate
from models.errors import InvalidInput
from models.manifest import DriftReference
from tests.models.drift.population import CLASSES, population, reference


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


def test_the_reference_survives_json() -> None:
    again = DriftReference.model_validate_json(reference().model_dump_json())

    assert again == reference()
    with pytest.raises(ValueError, match="thresholds"):
        DriftReference.model_validate(reference().model_dump() | {"thresholds": ((1.0,),)})
