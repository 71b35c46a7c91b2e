"""Which version answers which request, without HTTP."""

import random
from pathlib import Path

import numpy as np
import pytest

from models.repository.repository import Repository
from models.repository.rollout import Canary
from service.catalog.catalog import Catalog
from service.catalog.rollouts import Rollouts
from tests.domains import DOWN, publish_domains
from tests.service.catalogs import loaded

ROWS = np.random.default_rng(11).normal(size=(64, 4)).astype(np.float32)


@pytest.fixture
def catalog(three: Repository) -> Catalog:
    return loaded(three, draw=random.Random(0).random)


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_a_canary_answers_its_share_of_the_requests_that_name_no_version(catalog: Catalog, share: float) -> None:
    Rollouts(catalog).set_canary("tiny", Canary(version=2, share=share))
    draws = 20_000

    answered = sum(catalog.choose("tiny").version == 2 for _ in range(draws))

    # Four standard deviations of a binomial; the generator is seeded.
    assert abs(answered - draws * share) <= 4 * np.sqrt(draws * share * (1 - share))
    assert {catalog.choose("tiny", 3).version for _ in range(100)} == {3}
    assert {catalog.get("tiny").version for _ in range(100)} == {1}
    assert {catalog.choose("shapes").version for _ in range(100)} == {1}


def test_only_the_default_version_has_a_shadow(catalog: Catalog) -> None:
    Rollouts(catalog).set_shadow("tiny", 2)

    assert {version: catalog.shadow_of(catalog.get("tiny", version)) for version in (2, 3)} == {2: None, 3: None}
    assert catalog.shadow_of(catalog.get("tiny")) is catalog.get("tiny", 2)
    assert catalog.shadow_of(catalog.get("shapes")) is None


def with_role(catalog: Catalog, model: str = "tiny") -> set[int]:
    return {version for version in range(5) if catalog.has_role(model, version)}


def test_versions_that_get_rows_without_being_named_have_a_role(catalog: Catalog) -> None:
    rollouts = Rollouts(catalog)
    rollouts.set_label("tiny", "old", 3)
    assert with_role(catalog) == {1}, "a label is a name"
    rollouts.set_canary("tiny", Canary(version=2, share=0.5))
    rollouts.set_shadow("tiny", 3)
    assert with_role(catalog) == {1, 2, 3}
    rollouts.promote("tiny", 2)
    rollouts.set_shadow("tiny", None)
    assert with_role(catalog) == {2}
    assert with_role(catalog, "unknown") == set()


def test_the_versions_of_domains_have_a_role(tmp_path: Path) -> None:
    catalog = loaded(publish_domains(Repository(tmp_path)))
    assert with_role(catalog) == {1}
    Rollouts(catalog).set_domains("tiny", [DOWN])
    assert with_role(catalog) == {1, DOWN}


def test_a_change_does_not_reach_a_request_in_flight(catalog: Catalog) -> None:
    rollouts = Rollouts(catalog)
    held = catalog.choose("tiny")
    rollouts.promote("tiny", 3)
    rollouts.prune("tiny", 1)

    assert (held.version, catalog.choose("tiny").version) == (1, 3)
    assert held.engine.run({"input": ROWS})["logits"].shape == (64, 2)
