"""Names to versions: the folder of bundles, `<root>/<model>/<version>/`.

A version becomes visible by one rename of a complete, synced folder, so a kill at any point leaves the old state or the
new one. The rename fails when the version exists, so concurrent publishers get different versions without a lock.

`<root>/<model>/rollout.json` holds what has been decided about the versions of a model (`models.repository.rollout`).
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from models.errors import BundleError, InvalidInput, ModelNotFound, StorageError, VersionNotFound
from models.manifest import MODEL_NAME
from models.repository import bundle
from models.repository.bundle import Bundle
from models.repository.files import read_file
from models.repository.folder import delete_abandoned, locked, staging, sync
from models.repository.listing import ModelListing, list_model, list_models
from models.repository.rollout import Rollout

ROLLOUT = "rollout.json"
MAX_ROLLOUT_BYTES = 1 << 20


def validate_model_name(name: str, field: str) -> None:
    """Check that a name can be a folder's name and part of a URL.

    Args:
        name: of a model.
        field: what the name was given as, for the error.

    Raises:
        InvalidInput: it cannot.
    """
    if not MODEL_NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for a model: it must be 1 to 128 letters, digits, '.', '_' or '-', "
            "and start with a letter or digit",
            field,
        )


class Repository:
    """A folder of bundles.

    Args:
        root: created on the first publish when it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Repository({str(self.root)!r})"

    def validate_writable(self) -> None:
        """Check that versions can be published here, before the work of making one.

        Raises:
            InvalidInput: the root is not a folder, or may not be written.
        """
        if self.root.exists() and not (self.root.is_dir() and os.access(self.root, os.W_OK)):
            raise InvalidInput(f"{self.root} is not a folder that may be written", "repository")

    def listing(self) -> dict[str, ModelListing]:
        """All models by name, sorted, with the folders that cannot be used.

        Raises:
            StorageError: the repository cannot be read.
        """
        return list_models(self.root)

    def models(self) -> list[str]:
        """Names of the models with at least one version, sorted.

        Raises:
            StorageError: the repository cannot be read.
        """
        return [name for name, listing in self.listing().items() if listing.versions]

    def versions(self, model: str) -> list[int]:
        """Versions of a model, oldest first.

        Raises:
            ModelNotFound: there is none.
            StorageError: the model's folder cannot be read.
        """
        listing = list_model(self.root / model) if MODEL_NAME.fullmatch(model) else ModelListing()
        if reason := listing.unusable.get(""):
            raise StorageError(f"model '{model}': {reason}")
        if not listing.versions:
            raise ModelNotFound(model)
        return [*listing.versions]

    def delete_abandoned(self) -> None:
        """Delete what dead processes have left of versions that they did not publish."""
        delete_abandoned(self.root)

    def validate_version(self, model: str, version: int) -> None:
        """Check that a version exists.

        Raises:
            ModelNotFound, VersionNotFound: it does not.
        """
        if version not in self.versions(model):
            raise VersionNotFound(model, version)

    def default_version(self, model: str) -> int:
        """The version that answers requests which name none: the one that was chosen, else the newest.

        Raises:
            ModelNotFound: the model has no version.
            BundleError: the rollout cannot be read.
        """
        return self.rollout(model).default or self.versions(model)[-1]

    def rollout(self, model: str) -> Rollout:
        """What has been decided about the versions of a model, without versions that no longer exist.

        Raises:
            ModelNotFound: the model has no version.
            BundleError: the rollout cannot be read. Answering with the newest version instead could be wrong.
        """
        versions = self.versions(model)
        try:
            text = read_file(self.root / model / ROLLOUT, MAX_ROLLOUT_BYTES)
        except FileNotFoundError:
            return Rollout()
        except OSError as error:
            raise BundleError(f"{model}/{ROLLOUT} cannot be read: {error.strerror}") from error
        try:
            return Rollout.model_validate_json(text).without_missing(versions)
        except ValidationError as error:
            raise BundleError(f"{model}/{ROLLOUT} is not a rollout: correct or delete it") from error

    def change_rollout(self, model: str, change: Callable[[Rollout, int], Rollout]) -> Rollout:
        """Change what has been decided about a model, while no other process does, and return it.

        Args:
            model: its name.
            change: from the rollout before, and the default version before, to the new rollout.

        Raises:
            ModelNotFound: the model has no version.
            BundleError: the rollout cannot be read.
        """
        self.versions(model)
        with locked(self.root / model):
            before = self.rollout(model)
            after = change(before, self.default_version(model))
            if after != before:
                self._write_rollout(model, after)
        return after

    def read(self, model: str, version: int) -> Bundle:
        """Read and verify one version.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            BundleError: it is damaged or foreign, or its manifest is of another model.
        """
        self.validate_version(model, version)
        found = bundle.read(self.root / model / str(version))
        if found.manifest.model != model:
            raise BundleError(f"{model}/{version} has the manifest of another model: '{found.manifest.model}'")
        return found

    def digest(self, model: str, version: int) -> str:
        """A digest of one version, which is not verified.

        Raises:
            BundleError: there is no such version, or it cannot be read.
        """
        return bundle.digest(self.root / model / str(version))

    def publish(self, new: Bundle, *, candidate: bool = False) -> int:
        """Add a version to the model that the manifest names, and return its number.

        The version is on the disk, complete, before this returns. It is the default unless one was chosen.

        Args:
            new: what to publish.
            candidate: answer only requests that name the version: the present default is chosen as such before.

        Raises:
            InvalidInput: the manifest's name cannot be a model's.
            OSError: the disk is full or may not be written.
        """
        model_folder = self._make_model_folder(new.manifest.model)
        with staging(self.root) as staged:
            bundle.write(staged, new)
            if candidate and list_model(model_folder).versions:
                self.change_rollout(model_folder.name, Rollout.pinned)
            version = self._rename_to_next_version(staged, model_folder)
        sync(model_folder)
        return version

    def publish_as(self, new: Bundle, version: int) -> None:
        """Add a version under a number of its own, or leave it where it is if it is there already.

        Args:
            new: what to publish.
            version: at least 1.

        Raises:
            InvalidInput: the manifest's name cannot be a model's.
            BundleError: another bundle has the number.
            OSError: the disk is full or may not be written.
        """
        model_folder = self._make_model_folder(new.manifest.model)
        with staging(self.root) as staged:
            bundle.write(staged, new)
            if not _rename(staged, model_folder / str(version)) and bundle.digest(staged) != self.digest(
                new.manifest.model, version
            ):
                raise BundleError(f"{new.manifest.model}/{version} is there already, and is another bundle")
        sync(model_folder)

    def prune(self, model: str, keep: int) -> list[int]:
        """Delete the oldest versions but `keep`, and return those that were deleted.

        The default and the one before it, the canary, the shadow, versions loaded on request, and the ancestors of all
        that stay are not deleted.

        Raises:
            ModelNotFound: the model has no version.
            InvalidInput: `keep` is less than 1.
            BundleError: the rollout cannot be read.
        """
        if keep < 1:
            raise InvalidInput("at least one version must be kept", "keep")
        self.versions(model)
        with locked(self.root / model):
            return self._prune(model, keep)

    def _prune(self, model: str, keep: int) -> list[int]:
        versions = self.versions(model)
        rollout = self.rollout(model)
        stay = {*versions[-keep:], *rollout.in_use, *rollout.previous[-1:], *rollout.loaded}
        stay |= self._ancestors(model, stay)
        deleted = [version for version in versions if version not in stay]
        for version in deleted:
            # Two processes may prune at once: then one of them finds the version gone.
            with staging(self.root) as staged, suppress(FileNotFoundError):
                # Invisible in one step, so that a kill during the deletion leaves no half version.
                (self.root / model / str(version)).rename(staged / "pruned")
        if deleted:
            sync(self.root / model)
        return deleted

    def _ancestors(self, model: str, versions: set[int]) -> set[int]:
        """Parents of these versions, their parents, and so on, as far as manifests can be read."""
        found: set[int] = set()
        left = [version for version in versions if version in list_model(self.root / model).versions]
        while left:
            with suppress(BundleError):
                parent = bundle.read_manifest(self.root / model / str(left.pop())).lineage.parent
                if parent is not None and parent.model == model and parent.version not in found:
                    found.add(parent.version)
                    left += [parent.version]
        return found

    def _write_rollout(self, model: str, rollout: Rollout) -> None:
        with staging(self.root) as staged:
            with (staged / ROLLOUT).open("x") as file:
                file.write(rollout.model_dump_json(exclude_defaults=True))
                file.flush()
                os.fsync(file.fileno())
            (staged / ROLLOUT).rename(self.root / model / ROLLOUT)
        sync(self.root / model)

    def _make_model_folder(self, model: str) -> Path:
        validate_model_name(model, "model")  # copies of a manifest are not validated
        self.root.mkdir(parents=True, exist_ok=True)
        folder = self.root / model
        folder.mkdir(exist_ok=True)
        sync(self.root)
        return folder

    def _rename_to_next_version(self, staged: Path, model_folder: Path) -> int:
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
