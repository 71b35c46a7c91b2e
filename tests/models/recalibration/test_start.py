"""Re-calibrating a version that was re-calibrated itself."""

from pathlib import Path

import numpy as np
import pytest

from models import starter
from models.datatypes import Arrays
from models.recalibration.candidate import Candidate
from models.recalibration.estimate import recalibrate
from models.recalibration.start import Start
from models.repository import held_out
from models.repository.repository import Repository
from tests.bundles import tiny_bundle
from tests.recalibrating import recalibrated


def test_it_starts_from_the_version_that_was_trained(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(tiny_bundle())
    repository.publish(recalibrated(tiny_bundle(seed=1), 1))
    repository.publish(recalibrated(tiny_bundle(seed=2), 1))

    def start(version: int, answered_by: int | None = None) -> tuple[int, str | None]:
        found = Start.of(repository, "tiny", version, answered_by)
        names = {repository.read("tiny", number).folded: str(number) for number in (1, 2, 3)}
        assert names[found.parent.folded] == str(found.version)
        return found.version, None if found.served is None else names[found.served.folded]

    assert start(1) == (1, None)
    assert start(2) == (1, "2")
    assert start(1, answered_by=2) == (1, "2")
    assert start(2, answered_by=3) == (1, "3")


@pytest.fixture(scope="module")
def brighter() -> tuple[Arrays, Arrays]:
    """Two halves of held-out rows under more light."""
    found = starter.read("mlp")
    assert found.held_out is not None
    rows = held_out.unpack(found.held_out, found.manifest.inputs)["input"] + np.float32(0.3)
    return {"input": rows[::2]}, {"input": rows[1::2]}


def test_a_version_that_answers_as_well_is_no_gain(brighter: tuple[Arrays, Arrays]) -> None:
    trained = starter.read("mlp")
    first = recalibrate(trained, 1, brighter[0])
    assert not first.failed_gates

    def gain(candidate: Candidate) -> float:
        (found,) = (gate.figure for gate in candidate.gates if gate.name == "estimated_gain")
        assert found is not None
        return found

    over_trained = recalibrate(trained, 1, brighter[1])
    over_first = recalibrate(trained, 1, brighter[1], served=first.bundle)

    assert gain(over_trained) > 0.5
    assert abs(gain(over_first)) < 0.02
    assert over_first.served_accuracy is not None
    assert over_first.served_accuracy.accuracy > 0.9


def test_held_out_rows_that_are_not_usual_are_not_used(brighter: tuple[Arrays, Arrays]) -> None:
    first = recalibrate(starter.read("mlp"), 1, brighter[0]).bundle

    again = recalibrate(first, 2, brighter[1])

    assert again.estimated_accuracy == (None, None)
    assert "agreement" not in {gate.name for gate in again.gates}
