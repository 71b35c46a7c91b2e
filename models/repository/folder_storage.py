"""Bundles in a folder: `<root>/<model>/<version>/`.

A version becomes visible by one rename of a complete, synced folder, so a kill at any point leaves the old state or the
new one. The rename fails when the version exists, so concurrent publishers get different versions without a lock.
`<root>/<model>/rollout.json` is changed under a lock on the model's folder.
"""

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from models.durable_files import delete_abandoned, delete_folder, make_folder, replace_file, staging, sync
from models.errors import BundleError, InvalidInput
from models.manifest import Manifest
from models.repository import bundle, rollout
from models.repository.bundle import AnyBundle
from models.repository.files import read_file
from models.repository.folder_lock import locked
from models.repository.listing import ModelListing, list_model, list_models
from models.repository.rollout import MAX_ROLLOUT_BYTES, ROLLOUT, Rollout
from models.repository.storage import Storage
from models.stored_graph import Content


class FolderStorage(Storage):
    """A folder of bundles.

    Args:
        root: created on the first publish when it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def validate_writable(self) -> None:
        """Check that the folder can be written, where it exists.

        Raises:
            InvalidInput: the root is not a folder, or may not be written.
        """
        if self._root.exists() and not (self._root.is_dir() and os.access(self._root, os.W_OK)):
            raise InvalidInput(f"{self._root} is not a folder that may be written", "repository")

    def list_models(self) -> dict[str, ModelListing]:
        """Models by name, with the folders that cannot be used."""
        return list_models(self._root)

    def list_model(self, model: str) -> ModelListing:
        """What is in the folder of a model."""
        return list_model(self._root / model)

    def read(self, model: str, version: int, read_bundle: Callable[[Path], AnyBundle]) -> AnyBundle | None:
        """Read and verify the folder of a version."""
        if version not in self.list_model(model).versions:
            return None
        return read_bundle(self._folder(model, version))

    def read_manifest(self, model: str, version: int) -> Manifest:
        """Read the manifest in the folder of a version."""
        return bundle.read_manifest(self._folder(model, version))

    def digest(self, model: str, version: int) -> str:
        """The digest of the folder of a version."""
        return bundle.digest(self._folder(model, version))

    def size(self, model: str, version: int) -> int:
        """Bytes of the files in the folder of a version."""
        try:
            return sum(file.stat().st_size for file in self._folder(model, version).iterdir())
        except FileNotFoundError:  # it was deleted meanwhile
            return 0

    def publish(self, model: str, files: Mapping[str, Content], before_visible: Callable[[], None]) -> int:
        """Write a folder, and rename it to the next version."""
        model_folder = self._make_model_folder(model)
        with staging(self._root) as staged:
            bundle.write(staged, files)
            before_visible()
            version = _rename_to_next_version(staged, model_folder)
        sync(model_folder)
        return version

    def publish_as(self, model: str, files: Mapping[str, Content], version: int) -> bool:
        """Write a folder, and rename it to this version."""
        model_folder = self._make_model_folder(model)
        with staging(self._root) as staged:
            bundle.write(staged, files)
            is_new = _rename(staged, model_folder / str(version))
        sync(model_folder)
        return is_new

    def delete_versions(self, model: str, choose: Callable[[], list[int]]) -> list[int]:
        """Delete the folders of versions, while nobody else changes the model."""
        with locked(self._root / model):
            versions = choose()
            for version in versions:
                # Two processes may prune at once: then one of them finds the version gone.
                with suppress(FileNotFoundError):
                    delete_folder(self._folder(model, version), self._root)
            if versions:
                sync(self._root / model)
        return versions

    def delete_abandoned(self) -> None:
        """Delete the staging folders of dead processes."""
        delete_abandoned(self._root)

    def rollout(self, model: str) -> Rollout:
        """Read `rollout.json`."""
        try:
            return rollout.parse(read_file(self._root / model / ROLLOUT, MAX_ROLLOUT_BYTES), model)
        except FileNotFoundError:
            return Rollout()
        except OSError as error:
            raise BundleError(f"{model}/{ROLLOUT} cannot be read: {error.strerror}") from error

    def change_rollout(self, model: str, change: Callable[[Rollout], Rollout]) -> Rollout:
        """Replace `rollout.json` under the model's lock."""
        with locked(self._root / model):
            before = self.rollout(model)
            after = change(before)
            if after != before:
                replace_file(self._root / model / ROLLOUT, rollout.serialize(after), self._root)
        return after

    def _folder(self, model: str, version: int) -> Path:
        return self._root / model / str(version)

    def _make_model_folder(self, model: str) -> Path:
        make_folder(self._root)
        folder = self._root / model
        folder.mkdir(exist_ok=True)
        sync(self._root)
        return folder


def _rename_to_next_version(staged: Path, model_folder: Path) -> int:
    while True:
        version = list_model(model_folder).next_version
        if _rename(staged, model_folder / str(version)):
            return version


def _rename(staged: Path, folder: Path) -> bool:
    """Make a staged version visible. False if there is one already."""
    try:
        staged.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True
