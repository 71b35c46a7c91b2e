"""A repository, empty at first, and one in which a model has three versions."""

from pathlib import Path

import pytest

from models.repository.repository import Repository
from tests.service.conftest import fill, with_three_versions


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def three(tmp_path: Path) -> Repository:
    """`tiny` has versions 1 to 3, and 1 is the default; `shapes` has one."""
    return with_three_versions(fill(tmp_path))
