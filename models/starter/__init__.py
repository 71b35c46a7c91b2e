"""Small bundles that ship with the code, so that a fresh install serves at once."""

from pathlib import Path

from models.repository.repository import Repository

_FOLDER = Path(__file__).parent


def seed(repository: Repository) -> list[str]:
    """Copy the starter models into a repository that has nothing like a model. Returns the names of those copied.

    Raises:
        OSError: the repository cannot be written.
    """
    if repository.listing():
        return []
    starters = Repository(_FOLDER)
    for name in starters.models():
        repository.publish(starters.read(name, starters.default_version(name)))
    return starters.models()


def starter_digests() -> list[str]:
    """Digests of the starter models' versions."""
    starters = Repository(_FOLDER)
    return [starters.digest(name, version) for name in starters.models() for version in starters.versions(name)]
