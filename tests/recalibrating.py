"""A model that can be re-calibrated, and rows on which it is: for the tests of jobs, by HTTP or not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.assemble import signed_lineage
from models.manifest import Parent, RecalibrationRecord
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from tests.bundles import tiny_bundle

URL = "/v2/models/tiny/recalibrations"

ROWS = (np.random.default_rng(0).normal(size=(128, 4)) * 2 + 1).astype(np.float32)
"""Rows that have moved: `confident_bundle`, re-calibrated on them, passes every gate."""


def confident_bundle() -> Bundle:
    """`tiny_bundle`, sure enough of its classes for the gates."""
    return tiny_bundle(seed=6, certainty=30)


def confident_repository(root: Path) -> Repository:
    """A repository with `confident_bundle`."""
    repository = Repository(root)
    repository.publish(confident_bundle())
    return repository


def recalibrated(bundle: Bundle, parent: int) -> Bundle:
    """The bundle with the lineage of a version that was re-calibrated from version `parent` of its model."""
    lineage = signed_lineage(
        "recalibrated",
        Parent(model=bundle.manifest.model, version=parent),
        RecalibrationRecord(rows=64, prior=None, gates=()),
    )
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"lineage": lineage}))


def tensor(rows: np.ndarray, name: str = "input", datatype: str = "FP32") -> dict[str, Any]:
    """An input of a V2 request."""
    return {"name": name, "datatype": datatype, "shape": list(rows.shape), "data": rows.ravel().tolist()}
