"""How Denge signs what it makes."""

import importlib
from collections.abc import Iterator
from importlib import metadata

import pytest

from models import version


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    importlib.reload(version)
    yield
    monkeypatch.undo()
    importlib.reload(version)


def test_a_bundle_is_signed_with_name_and_version() -> None:
    assert f"denge {metadata.version('denge')}" == version.PROGRAM


@pytest.mark.usefixtures("not_installed")
def test_a_program_that_was_never_installed_still_signs_its_bundles() -> None:
    assert version.PROGRAM == "denge unknown"
