"""Small bundles that ship with the code, so that a fresh install serves at once."""

from pathlib import Path

from models.repository.bundle import Bundle
from models.repository.repository import Repository

_FOLDER = Path(__file__).parent


def seed(repository: Repository) -> list[str]:
    """Copy the starter models into a repository that has nothing else. Returns the names of those copied.

    Several processes may do this at once: they copy the same, and each has all of them afterwards.

    Raises:
        BundleError: something else has been published under one of the names meanwhile.
        OSError: the repository cannot be written.
    """
    starters, found = Repository(_FOLDER).listing(), repository.listing()
    if any(listing != starters.get(name) for name, listing in found.items()):
        return []
    missing = sorted(starters.keys() - found.keys())
    for name in missing:
        for version in starters[name].versions:
            repository.publish_as(Repository(_FOLDER).read(name, version), version)
    return missing


def read(name: str) -> Bundle:
    """Returns the first version of a starter model.

    Raises:
        ModelNotFound: there is no such starter.
    """
    return Repository(_FOLDER).read(name, 1)


def starter_digests() -> list[str]:
    """Digests of the starter models' versions."""
    starters = Repository(_FOLDER)
    return [starters.digest(name, version) for name in starters.models() for version in starters.versions(name)]
