"""What may be published, and what its manifest says then: `models.recalibration.candidate`."""

from dataclasses import replace

import pytest

from models.errors import VersionRefused
from models.manifest import Gate, Lineage, Manifest, Parent, RecalibrationRecord
from models.recalibration.candidate import Candidate
from models.repository.bundle import Bundle
from tests.bundles import tiny_bundle

PASSED = Gate(name="rows", about="rows", figure=100, lower=64)
FAILED = Gate(name="diversity", about="entropy", figure=0.5, lower=0.9, upper=1.1)
BROKEN = Gate(name="growth", about="largest output", figure=None, upper=10)


def recalibrated_bundle() -> Bundle:
    """A re-calibrated version whose gates have not been checked."""
    bundle = tiny_bundle()
    lineage = Lineage(
        origin="recalibrated",
        created_at=bundle.manifest.lineage.created_at,
        created_by="denge tests",
        parent=Parent(model="tiny", version=1),
        recalibration=RecalibrationRecord(rows=100, prior=8, gates=()),
    )
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"lineage": lineage}))


def test_its_gates_are_those_of_its_manifest() -> None:
    candidate = Candidate.of(recalibrated_bundle(), [PASSED, FAILED])

    record = candidate.bundle.manifest.lineage.recalibration
    assert record is not None
    assert record.gates == candidate.gates == (PASSED, FAILED)
    assert (record.rows, record.prior, record.forced) == (100, 8, False)
    assert Manifest.model_validate_json(candidate.bundle.manifest.model_dump_json()) == candidate.bundle.manifest


def test_one_that_passes_is_published_as_it_is_and_not_marked() -> None:
    candidate = Candidate.of(recalibrated_bundle(), [PASSED])

    assert candidate.failed_gates == ()
    assert candidate.publishable() is candidate.bundle
    assert candidate.publishable(force=True) is candidate.bundle


def test_one_that_fails_is_refused_with_all_figures_and_published_by_force_alone() -> None:
    candidate = Candidate.of(recalibrated_bundle(), [PASSED, FAILED, BROKEN])

    assert candidate.failed_gates == (FAILED, BROKEN)
    with pytest.raises(VersionRefused, match=r"^diversity 0.5 is below 0.9; growth is not a finite number$"):
        candidate.publishable()
    forced = candidate.publishable(force=True)
    record = forced.manifest.lineage.recalibration
    assert record is not None
    assert (record.forced, record.gates) == (True, candidate.gates)
    assert forced.folded == candidate.bundle.folded
