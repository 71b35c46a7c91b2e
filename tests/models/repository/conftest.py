"""An empty repository: in a folder, or where a test asks for it in a bucket."""

from collections import defaultdict
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from models.repository import objects
from models.repository.cache import BundleCache
from models.repository.repository import Repository
from tests.s3 import bucket, s3

__all__ = ["bucket", "s3"]


@pytest.fixture
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A folder, or what `in_each_kind` of `tests.models.repository.kinds` asks for."""
    if getattr(request, "param", "folder") == "folder":
        return Repository(tmp_path / "repository")
    return Repository(request.getfixturevalue(request.param), BundleCache(tmp_path / "cache", 1 << 30))


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket in the memory of this process, for tests of many steps: it answers at once."""
    stores: dict[str, MemoryStore] = defaultdict(MemoryStore)
    monkeypatch.setattr(objects, "from_url", lambda url, **_: stores[url])
    return "s3://memory/models"
