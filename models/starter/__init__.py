"""Small bundles that ship with the code, so that a fresh install serves at once."""

from pathlib import Path

from models.repository.repository import Repository

_FOLDER = Path(__file__).parent


def seed(repository: Repository) -> list[str]:
    """Copy the starter models into a repository that has no model at all. Returns the names of those copied.

    Raises:
        OSError: the repository cannot be written.
    """
    if repository.models():
        return []
    starters = Repository(_FOLDER)
    for name in starters.models():
        repository.publish(starters.read(name, starters.default_version(name)))
    return starters.models()
