"""Where a version came from."""

import pytest
from pydantic import ValidationError

from models.manifest import Lineage


def test_a_recalibrated_version_has_a_parent_and_a_record_and_no_other_has() -> None:
    usual = {"created_at": "2026-01-02T03:04:05Z", "created_by": "denge tests"}
    record = {"rows": 64, "prior": 16.0, "gates": [{"name": "rows", "about": "rows", "figure": 64.0, "lower": 64.0}]}
    parent = {"model": "tiny", "version": 1}

    found = Lineage.model_validate({**usual, "origin": "recalibrated", "parent": parent, "recalibration": record})

    assert found.recalibration is not None
    assert found.recalibration.gates[0].passed
    for wrong in (
        {"origin": "recalibrated", "parent": parent},
        {"origin": "recalibrated", "recalibration": record},
        {"origin": "trained", "recalibration": record},
    ):
        with pytest.raises(ValidationError, match="re-calibrated version"):
            Lineage.model_validate({**usual, **wrong})
