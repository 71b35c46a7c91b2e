"""An empty repository: in a folder, or where a test asks for it in a bucket."""

from pathlib import Path

import pytest

from models.repository.cache import BundleCache
from models.repository.repository import Repository
from tests.s3 import bucket, s3

__all__ = ["bucket", "s3"]


@pytest.fixture
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A folder, or what `in_each_kind` of `tests.models.repository.kinds` asks for."""
    if getattr(request, "param", "folder") == "folder":
        return Repository(tmp_path / "repository")
    return Repository(request.getfixturevalue("bucket"), BundleCache(tmp_path / "cache", 1 << 30))
