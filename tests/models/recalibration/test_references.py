"""Rows that are declared good give a version other thresholds, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from models.datatypes import Arrays
from models.drift.detector import Detector
from models.errors import InvalidInput
from models.manifest import Manifest
from models.moments.window import WindowMoments
from models.observation import ObservationReader
from models.recalibration import gates
from models.recalibration.references import make_reference
from models.repository.bundle import Bundle
from models.runtime.load import load
from tests.bundles import INPUT, tiny_bundle
from tests.watching import usual_rows, watched_bundle


def moved_rows(count: int, seed: int = 0) -> Arrays:
    return {INPUT: usual_rows(count, seed) + 3}


def alarms(bundle: Bundle, rows: Arrays) -> bool:
    assert bundle.observed is not None
    outputs = load(bundle.observed, optimize=True)(rows)
    observed = ObservationReader(bundle.manifest.layers, outputs).read(outputs)
    window = {name: WindowMoments.of(statistics) for name, statistics in observed.items()}
    return Detector(bundle.manifest.drift).assess(window).alarm


def test_what_was_an_alarm_is_usual_for_the_new_version_and_the_other_way_round() -> None:
    parent = watched_bundle()
    candidate = make_reference(parent, 3, moved_rows(500))

    assert alarms(parent, moved_rows(128, 5))
    assert not alarms(candidate.bundle, moved_rows(128, 5))
    assert alarms(candidate.bundle, {INPUT: usual_rows(128, 5)})


def test_a_version_without_a_reference_gets_one() -> None:
    parent = watched_bundle("loose", calibrated=False)
    assert parent.manifest.drift is None

    candidate = make_reference(parent, 1, {INPUT: usual_rows(300)})

    assert candidate.bundle.manifest.drift is not None
    assert candidate.bundle.manifest.drift.rows == 300
    assert [gate.name for gate in candidate.failed_gates] == []


def test_the_graphs_stay_and_the_lineage_says_what_was_done() -> None:
    parent = watched_bundle()
    steps: list[str] = []

    bundle = make_reference(parent, 3, {INPUT: usual_rows(300)}, on_step=steps.append).bundle

    assert (bundle.source, bundle.folded, bundle.observed) == (parent.source, parent.folded, parent.observed)
    assert bundle.held_out == parent.held_out
    lineage = bundle.manifest.lineage
    assert (lineage.origin, lineage.parent and lineage.parent.version) == ("referenced", 3)
    assert lineage.reference is not None
    assert lineage.reference.rows == 300
    assert {gate.name for gate in lineage.reference.gates} == {"rows", "false_alarms", "diversity"}
    assert steps == ["estimating", "checking"]
    assert Manifest.model_validate_json(bundle.manifest.model_dump_json()) == bundle.manifest


def test_rows_of_one_class_do_not_pass_and_can_be_forced() -> None:
    candidate = make_reference(watched_bundle(), 1, {INPUT: np.tile(usual_rows(1), (200, 1))})

    assert "diversity" in {gate.name for gate in candidate.failed_gates}
    record = candidate.publishable(force=True).manifest.lineage.reference
    assert record is not None
    assert record.forced


def test_a_reference_that_finds_others_unusual_does_not_pass() -> None:
    assert gates.false_alarms(np.array([0.5, 0.9, 1.0, 0.2, 0.1])).passed
    assert not gates.false_alarms(np.array([0.5, 2.0, 1.5, 0.2, 0.1])).passed


@pytest.mark.parametrize(("count", "message"), [(79, "got 79, expected 80 to 5000"), (5001, "got 5001")])
def test_too_few_or_too_many_rows_are_refused(count: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make_reference(watched_bundle(), 1, {INPUT: usual_rows(count)})


def test_a_version_that_is_not_observed_is_refused() -> None:
    manifest = tiny_bundle().manifest.model_copy(update={"norm_layers": ()})

    with pytest.raises(InvalidInput, match="has no reference: the model has no layers that can be observed"):
        make_reference(replace(tiny_bundle(), manifest=manifest), 1, {INPUT: usual_rows(100)})
