"""A model that can be re-calibrated, and a folder for the records."""

from pathlib import Path

import pytest

from models.repository.repository import Repository
from service.catalog.catalog import Catalog
from tests.recalibrating import confident_bundle
from tests.service.catalogs import loaded


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    repository.publish(confident_bundle())
    return repository


@pytest.fixture
def catalog(repository: Repository) -> Catalog:
    return loaded(repository)
