"""An empty repository."""

from pathlib import Path

import pytest

from models.repository.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")
