"""A model that can be re-calibrated, and a folder for the records."""

from pathlib import Path

import pytest

from models.repository.repository import Repository
from service.catalog.catalog import Catalog
from tests.recalibrating import confident_repository
from tests.service.catalogs import loaded


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return confident_repository(tmp_path / "repository")


@pytest.fixture
def catalog(repository: Repository) -> Catalog:
    return loaded(repository)
