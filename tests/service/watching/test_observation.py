"""Observations survive the way to another process, and damaged ones are refused."""

import numpy as np
import pytest

from models.errors import InvalidInput
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from tests.bundles import NORM
from tests.service.watching.doubles import observation
from tests.watching import usual_rows


def test_an_observation_survives_the_way_to_another_process(observed_model: ObservedModel) -> None:
    found = observation(observed_model, usual_rows(5))
    sent = Observation("tiny", 3, found.layers, found.classes, batches=2, skipped=7, seconds=0.25)
    received = Observation.from_bytes(sent.to_bytes())

    for field in ("model", "version", "batches", "skipped", "seconds", "rows"):
        assert getattr(received, field) == getattr(sent, field), field
    assert received.classes.tolist() == sent.classes.tolist()
    assert received.layers[NORM].count == 5
    assert np.array_equal(received.layers[NORM].variance_error, sent.layers[NORM].variance_error)


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -8])
def test_a_damaged_observation_is_refused(observed_model: ObservedModel, cut: int) -> None:
    data = observation(observed_model, usual_rows(5)).to_bytes()

    with pytest.raises(InvalidInput, match="observation"):
        Observation.from_bytes(data[:cut])
