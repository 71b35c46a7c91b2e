"""Services whose traffic is observed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from tests.bundles import image_bundle
from tests.service.routes.observing import TINY, get, observed_rows, serving, settle, until
from tests.watching import usual_rows, watched_bundle


def publish_observable(root: Path) -> Repository:
    """A repository with `tiny`, calibrated, `loose`, which is not, and `shapes`, which has no observed graph."""
    repository = Repository(root)
    for bundle in (watched_bundle(), watched_bundle("loose", calibrated=False), image_bundle()):
        repository.publish(bundle)
    return repository


@pytest.fixture(scope="package")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service that observes all of its traffic."""
    with serving(publish_observable(tmp_path_factory.mktemp("observed") / "repository")) as client:
        yield client


@pytest.fixture(scope="package")
def moved_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Another one, after traffic to `tiny` that was usual at first, and then was not."""
    with serving(publish_observable(tmp_path_factory.mktemp("moved") / "repository")) as client:
        until(client, usual_rows(20), lambda: get(client, f"{TINY}/drift?window=last")["rows"] >= 16)
        assert not get(client, f"{TINY}/drift?window=last")["alarm"]
        until(client, usual_rows(20) + 3, lambda: get(client, f"{TINY}/drift?window=last")["alarm"])
        yield client


@pytest.fixture
def moved(moved_service: TestClient) -> TestClient:
    """`moved_service`, with rows in every window, however long ago the first test was, and all of them observed."""
    until(moved_service, usual_rows(20) + 3, lambda: observed_rows(moved_service, "1m") >= 36)
    settle(moved_service)
    return moved_service
