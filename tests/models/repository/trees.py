"""What is in a folder or a bucket, and what a reader of a repository can see."""

from pathlib import Path

from models.repository.bundle import Bundle
from models.repository.objects import Objects
from models.repository.repository import Repository


def tree(root: Path | str) -> dict[str, bytes | None]:
    """Every path below a folder or a URL, and what is in the files."""
    if isinstance(root, str):
        objects = Objects(root)
        return {found.key: objects.get(found.key, 1 << 30).data for found in objects.list()}
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes() for path in sorted(root.rglob("*"))
    }


def hidden(root: Path | str) -> list[str]:
    """Paths that no reader looks at."""
    return [path for path in tree(root) if any(part.startswith(".") for part in path.split("/"))]


def everything(repository: Repository) -> dict[str, tuple[int, dict[int, Bundle]]]:
    """All that a reader can see: of each model the default version, and all versions, verified."""
    return {
        model: (
            repository.default_version(model),
            {version: repository.read(model, version) for version in repository.versions(model)},
        )
        for model in repository.models()
    }
