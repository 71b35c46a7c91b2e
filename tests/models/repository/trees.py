"""What is in a folder, and what a reader of a repository can see."""

from pathlib import Path

from models.repository.bundle import Bundle
from models.repository.repository import Repository


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, and what is in the files."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def everything(repository: Repository) -> dict[str, tuple[int, dict[int, Bundle]]]:
    """All that a reader can see: of each model the default version, and all versions, verified."""
    return {
        model: (
            repository.default_version(model),
            {version: repository.read(model, version) for version in repository.versions(model)},
        )
        for model in repository.models()
    }
