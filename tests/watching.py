"""Bundles that can be watched."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.assemble import assemble, signed_lineage
from models.graph.load import parse
from models.model_info import ModelInfo
from models.repository.bundle import Bundle
from tests.bundles import INPUT, tiny_bundle

Array = NDArray[np.float32]


def usual_rows(count: int, seed: int = 0) -> Array:
    """Rows like those that the bundle of `watched_bundle` knows, shape (count, 4)."""
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


@cache
def watched_bundle(name: str = "tiny", *, calibrated: bool = True) -> Bundle:
    """`tiny_bundle` with an observed graph, and a reference of 2,000 rows."""
    bundle = tiny_bundle(name)
    rows = {INPUT: usual_rows(2000, seed=99)} if calibrated else None
    return assemble(parse(bundle.source), ModelInfo.of(bundle.manifest), signed_lineage("trained"), rows=rows)
