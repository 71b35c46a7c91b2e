"""Engines, opened from bundles."""

from pathlib import Path

import numpy as np

from models.repository.repository import Repository
from service.composition.engines import engine_opener, observed_model_opener
from service.inference.limits import Limits
from service.settings import Settings
from tests.bundles import INPUT, echo_bundle
from tests.service.catalogs import loaded
from tests.watching import watched_bundle

SETTINGS = Settings(threads=1)


def test_an_engine_runs_the_folded_graph_of_its_bundle() -> None:
    engine = engine_opener(SETTINGS, Limits())(echo_bundle("FP32"))
    row = np.float32([[1, -2]])

    (answer,) = engine.run({INPUT: row}).values()

    assert np.array_equal(answer, row)


def test_a_version_is_observed_where_its_bundle_has_the_graph(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(watched_bundle())
    repository.publish(echo_bundle("FP32"))
    catalog = loaded(repository)
    open_observed = observed_model_opener(SETTINGS, repository)

    observed = {served.model: open_observed(served) for served in catalog.served()}

    assert observed.pop("fp32") is None
    assert observed["tiny"] is not None
    statistics = observed["tiny"].observe({INPUT: np.zeros((1, 4), np.float32)}).layers
    assert statistics
