"""A re-calibrated version is compared with its parent while both are served: `service.watching.version_fits`."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.repository.repository import Repository
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.telemetry.statistics import ServiceStatistics
from service.watching.batch_observer import BatchObserver
from service.watching.budget import Budget
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from service.watching.observed_models import ObservedModels
from service.watching.observer import Observer
from service.watching.version_fits import VersionFits
from tests.bundles import INPUT
from tests.domains import DOWN, PARENT_BUNDLE, UP, domain_bundle, rows_of
from tests.service.catalogs import loaded


class Loaded:
    """A catalog of the versions that are loaded."""

    def __init__(self, *versions: ServedVersion) -> None:
        self.versions = {version.version: version for version in versions}
        self.asked = 0
        self.shadow: ServedVersion | None = None

    def find(self, _model: str, version: int) -> ServedVersion | None:
        self.asked += 1
        return self.versions.get(version)

    def shadow_of(self, _: ServedVersion) -> ServedVersion | None:
        return self.shadow


def served(version: int) -> ServedVersion:
    bundle = domain_bundle(version)
    return ServedVersion("tiny", version, bundle.manifest, Engine(bundle.folded, bundle.manifest.inputs))


def fits(catalog: Any) -> VersionFits:
    return VersionFits(catalog)


def test_a_version_is_compared_with_the_one_that_it_was_made_from() -> None:
    catalog, promoted = Loaded(served(PARENT_BUNDLE)), served(UP)
    found = fits(catalog)

    assert found.of(promoted) is not None
    assert found.of(promoted) is found.of(promoted)
    assert catalog.asked == 1
    assert found.of(catalog.versions[PARENT_BUNDLE]) is None


def test_it_is_compared_as_soon_as_that_one_is_loaded() -> None:
    catalog, promoted = Loaded(), served(UP)
    found = fits(catalog)
    assert found.of(promoted) is None

    catalog.versions[PARENT_BUNDLE] = served(PARENT_BUNDLE)
    assert found.of(promoted) is not None


def test_a_version_whose_parent_is_in_the_repository_alone_is_compared_with_none(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    for version in (PARENT_BUNDLE, UP, DOWN):
        repository.publish(domain_bundle(version))
    catalog = loaded(repository)
    assert catalog.versions("tiny") == [UP, DOWN]

    assert fits(catalog).of(catalog.get("tiny")) is None


def test_versions_without_a_layer_in_common_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.drift.version_fit.first_layers", lambda _: [])
    catalog, promoted = Loaded(served(PARENT_BUNDLE)), served(UP)
    found = fits(catalog)

    assert [found.of(promoted) for _ in range(3)] == [None] * 3
    assert catalog.asked == 1


def test_a_comparison_leaves_the_memory_with_its_version() -> None:
    found, promoted = fits(Loaded(served(PARENT_BUNDLE))), served(UP)
    comparison = weakref.ref(found.of(promoted))

    del promoted
    gc.collect()
    assert comparison() is None


@pytest.mark.parametrize(("source", "fit"), [(UP, 20), (PARENT_BUNDLE, -20)])
def test_what_is_observed_says_which_version_the_rows_fit(source: int, fit: int) -> None:
    promoted, seen = served(UP), list[Observation]()
    graph = domain_bundle(UP).observed
    assert graph is not None
    models = ObservedModels(lambda version: ObservedModel(version, Engine(graph, version.manifest.inputs)))
    batch_observer = BatchObserver(models, seen.append, fits=fits(Loaded(served(PARENT_BUNDLE))))
    observer = Observer(lambda: batch_observer, Budget(percent=100), ServiceStatistics())
    rows = rows_of(source, 21)
    rows[3] = np.nan  # left out

    observer.offer(promoted, {INPUT: rows})
    observer.close()

    assert [observation.fit for observation in seen] == [fit]


@pytest.mark.parametrize("answering", [PARENT_BUNDLE, DOWN])
@pytest.mark.parametrize(("source", "fit"), [(UP, 20), (PARENT_BUNDLE, -20)])
def test_rows_that_another_version_answers_say_whether_they_fit_the_shadow(
    answering: int, source: int, fit: int
) -> None:
    version, seen = served(answering), list[Observation]()
    graph = domain_bundle(answering).observed
    assert graph is not None
    catalog = Loaded(served(PARENT_BUNDLE))
    catalog.shadow = served(UP)
    models = ObservedModels(lambda each: ObservedModel(each, Engine(graph, each.manifest.inputs)))
    batch_observer = BatchObserver(models, seen.append, fits=fits(catalog))
    observer = Observer(lambda: batch_observer, Budget(percent=100), ServiceStatistics())

    observer.offer(version, {INPUT: rows_of(source, 20)})
    observer.close()

    of_shadow = [found for found in seen if found.version == UP]
    assert [(found.fit, found.rows, found.batches) for found in of_shadow] == [(fit, 0, 0)]
    assert [found.rows for found in seen if found.version == answering] == [20]


def test_a_shadow_with_another_parent_is_not_compared() -> None:
    catalog = Loaded(served(PARENT_BUNDLE))
    found, other = fits(catalog), ServedVersion("tiny", 7, domain_bundle(PARENT_BUNDLE).manifest, served(UP).engine)
    assert found.of_shadow(catalog.versions[PARENT_BUNDLE]) is None

    catalog.shadow = served(UP)
    assert found.of_shadow(other) is None
    assert found.of_shadow(catalog.versions[PARENT_BUNDLE]) is not None
