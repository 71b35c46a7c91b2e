"""Bundles of a bucket on the local disk, by digest: verified whenever they are read, at most so many bytes."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.durable_files import delete_folder, staging
from models.errors import BundleError
from models.repository import bundle
from models.repository.bundle import AnyBundle

_BUNDLES = "bundles"


class BundleCache:
    """A folder of bundles, each in a folder named by its digest. Several processes may share it.

    Args:
        folder: created when it does not exist.
        max_bytes: of all bundles together. The one that was added last stays, however large it is.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def __contains__(self, digest: str) -> bool:
        return self._path(digest).is_dir()

    def read(self, digest: str, read_bundle: Callable[[Path], AnyBundle]) -> AnyBundle | None:
        """What `read_bundle` reads of a bundle; None if it is not here, or damaged: then it is deleted."""
        path = self._path(digest)
        if not path.is_dir():
            return None
        try:
            found = read_bundle(path)
            # The list of digests could have been replaced together with a file.
            is_intact = bundle.digest(path) == digest
        except BundleError:
            is_intact = False
        if not is_intact:
            _delete(path)
            return None
        with suppress(OSError):
            os.utime(path)
        return found

    def add(self, digest: str, download: Callable[[Path], None]) -> None:
        """Download a bundle into the cache, unless it is there.

        Args:
            digest: of the bundle.
            download: writes its files into an empty folder. Nothing is kept if it raises.

        Raises:
            OSError: the disk is full or may not be written.
        """
        bundles = self.folder / _BUNDLES
        bundles.mkdir(parents=True, exist_ok=True)
        with staging(bundles) as staged:
            content = staged / "bundle"
            content.mkdir()
            download(content)
            with suppress(OSError):  # another process was faster
                content.rename(self._path(digest))
        self._delete_least_recent(digest)

    def _path(self, digest: str) -> Path:
        return self.folder / _BUNDLES / digest

    def _delete_least_recent(self, kept: str) -> None:
        paths = [path for path in (self.folder / _BUNDLES).iterdir() if not path.name.startswith(".")]
        sizes = {path: _size(path) for path in paths}
        total = sum(sizes.values())
        for path in sorted(paths, key=_last_used):
            if total <= self.max_bytes:
                return
            if path.name != kept:
                _delete(path)
                total -= sizes[path]


def _delete(folder: Path) -> None:
    with suppress(OSError):  # another process deletes it
        delete_folder(folder, folder.parent)


def _size(folder: Path) -> int:
    with suppress(FileNotFoundError):  # another process deletes it
        return sum(file.stat().st_size for file in folder.iterdir())
    return 0


def _last_used(folder: Path) -> float:
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0
