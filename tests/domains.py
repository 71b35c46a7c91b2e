"""A model with versions for two domains, as tests use it: rows of one are moved up, those of the other down."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.observation import ObservationReader, RowStatistics
from models.recalibration.estimate import recalibrate
from models.repository import held_out
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.load import load
from tests.bundles import INPUT
from tests.rollouts import promote
from tests.watching import usual_rows, watched_bundle

UP, DOWN = 2, 3
"""The versions of the two domains."""

PARENT_BUNDLE = 1
"""Their parent, and the default."""

_MOVED = {UP: 6.0, DOWN: -6.0}


def rows_of(version: int, count: int, seed: int = 0) -> NDArray[np.float32]:
    """Rows like those that a version is for, shape (count, 4)."""
    return usual_rows(count, seed) + np.float32(_MOVED.get(version, 0.0))


@cache
def domain_bundle(version: int) -> Bundle:
    """`watched_bundle` with held-out rows as version 1; and what was re-calibrated from it for the rows of a domain."""
    if version not in _MOVED:
        return replace(watched_bundle(), held_out=held_out.pack({INPUT: usual_rows(256, seed=98)}))
    return recalibrate(domain_bundle(1), 1, {INPUT: rows_of(version, 256, seed=version)}, with_accuracy=False).bundle


def publish_domains(repository: Repository) -> Repository:
    """Publish all three versions. Version 1 is the default."""
    repository.publish(domain_bundle(1))
    promote(repository, "tiny", 1)
    for version in (UP, DOWN):
        repository.publish(domain_bundle(version))
    return repository


def observe(version: int, rows: NDArray[np.float32]) -> dict[str, RowStatistics]:
    """What the observed graph of a version puts out for rows."""
    bundle = domain_bundle(version)
    assert bundle.observed is not None
    outputs = load(bundle.observed, optimize=True)({INPUT: rows})
    return ObservationReader(bundle.manifest.layers, outputs).read(outputs)
