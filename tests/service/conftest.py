"""An application over a repository with two small models."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.bundles import image_bundle, tiny_bundle
from tests.rollouts import promote
from tests.service.disk import watched

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def fill(root: Path) -> Repository:
    """A repository with the models `tiny` (4 -> 2) and `shapes` (images of 8 x 8 -> 3), one version each."""
    repository = Repository(root)
    repository.publish(tiny_bundle())
    repository.publish(image_bundle())
    return repository


@contextmanager
def started(repository: Repository) -> Iterator[TestClient]:
    """An application, started. Errors inside it are answered, not raised into the test."""
    settings = Settings(repository=repository.root, max_body_mib=1, concurrency=2)
    with TestClient(create_app(settings), "http://127.0.0.1:8000", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def disk_calls() -> Iterator[list[str]]:
    """Calls of what touches a disk, on an event loop."""
    with watched() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_disk_on_the_event_loop(disk_calls: list[str]) -> Iterator[None]:
    yield
    found = list(disk_calls)
    disk_calls.clear()
    assert not found, "the event loop waits for a disk"


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One application for all tests that leave it as it was."""
    with started(fill(tmp_path_factory.mktemp("shared"))) as client:
        yield client


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """The repository of `own_client`."""
    return fill(tmp_path / "repository")


def with_three_versions(repository: Repository) -> Repository:
    """`tiny` gets versions 2 and 3, and 1 stays the default."""
    promote(repository, "tiny", 1)
    for seed in (2, 3):
        repository.publish(tiny_bundle(seed=seed))
    return repository


@pytest.fixture
def three(repository: Repository) -> Repository:
    """`tiny` has versions 1 to 3, and 1 is the default."""
    return with_three_versions(repository)


@pytest.fixture
def own_client(repository: Repository) -> Iterator[TestClient]:
    """An application for tests that change it."""
    with started(repository) as client:
        yield client


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> "InMemorySpanExporter":
    """What an application exports that is made in this test."""
    from service.telemetry import tracing  # noqa: PLC0415 - slow to import
    from tests.service.tracing import exporting  # noqa: PLC0415

    exporter, provider = exporting()
    monkeypatch.setattr(tracing, "open_provider", lambda: provider)
    return exporter
