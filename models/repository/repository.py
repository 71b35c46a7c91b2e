"""Names to versions: the folder of bundles, `<root>/<model>/<version>/`.

A version becomes visible by one rename of a complete, synced folder, so a kill at any point leaves the old state or the
new one. The rename fails when the version exists, so concurrent publishers get different versions without a lock.

`<root>/<model>/rollout.json` says which of them answers when none is named.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from models.errors import BundleError, InvalidInput, ModelNotFound, VersionNotFound
from models.manifest import MODEL_NAME
from models.repository import bundle
from models.repository.bundle import Bundle
from models.repository.rollout import Rollout

_VERSION = re.compile(r"[1-9][0-9]*")
_ROLLOUT = "rollout.json"
_STAGING = ".incoming-"


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
            InvalidInput: the root is no folder, or may not be written.
        """
        if self.root.exists() and not (self.root.is_dir() and os.access(self.root, os.W_OK)):
            raise InvalidInput(f"{self.root} is not a folder that may be written", "repository")

    def models(self) -> list[str]:
        """Names of the models with at least one version, sorted."""
        if not self.root.is_dir():
            return []
        names = (entry.name for entry in self.root.iterdir() if MODEL_NAME.fullmatch(entry.name))
        return sorted(name for name in names if self._versions(name))

    def versions(self, model: str) -> list[int]:
        """Versions of a model, oldest first.

        Raises:
            ModelNotFound: there is none.
        """
        versions = self._versions(model) if MODEL_NAME.fullmatch(model) else []
        if not versions:
            raise ModelNotFound(model)
        return versions

    def require(self, model: str, version: int) -> None:
        """Nothing, where there is such a version.

        Raises:
            ModelNotFound, VersionNotFound: there is none.
        """
        if version not in self.versions(model):
            raise VersionNotFound(model, version)

    def default_version(self, model: str) -> int:
        """The version that answers when none is named: the one that was set, else the newest.

        Raises:
            ModelNotFound: the model has no version.
            BundleError: what was set cannot be read.
        """
        return self.rollout(model).default or self.versions(model)[-1]

    def set_default(self, model: str, version: int) -> None:
        """Answer with this version when none is named, also after newer ones are published.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            BundleError: what was set before cannot be read.
        """
        self.require(model, version)
        self.change_rollout(model, lambda rollout, answering: rollout.promoted(version, answering))

    def rollout(self, model: str) -> Rollout:
        """What has been decided about the versions of a model, as far as they are there.

        Raises:
            ModelNotFound: the model has no version.
            BundleError: it cannot be read. No version answers in its place that nobody chose.
        """
        versions = self.versions(model)
        try:
            text = (self.root / model / _ROLLOUT).read_bytes()
        except FileNotFoundError:
            return Rollout()
        except OSError as error:
            raise BundleError(f"{model}/{_ROLLOUT} cannot be read: {error.strerror}") from error
        try:
            return Rollout.model_validate_json(text).existing(versions)
        except ValidationError as error:
            raise BundleError(f"{model}/{_ROLLOUT} makes no sense: correct or delete it") from error

    def change_rollout(self, model: str, change: Callable[[Rollout, int], Rollout]) -> Rollout:
        """Decide something else, in one step, while no other process does. Returns what was decided.

        Args:
            model: its name.
            change: from what was decided before, and the version that answers when none is named.

        Raises:
            ModelNotFound: the model has no version.
            BundleError: what was decided before cannot be read.
        """
        self.versions(model)
        with self._locked(model):
            before = self.rollout(model)
            after = change(before, self.default_version(model))
            if after != before:
                self._write_rollout(model, after)
        return after

    def read(self, model: str, version: int) -> Bundle:
        """Read and verify one version.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            BundleError: it is damaged, foreign, or says that it is another model's.
        """
        self.require(model, version)
        found = bundle.read(self.root / model / str(version))
        if found.manifest.model != model:
            raise BundleError(f"{model}/{version} says that it is a version of '{found.manifest.model}'")
        return found

    def publish(self, new: Bundle, *, candidate: bool = False) -> int:
        """Add a version to the model that the manifest names, and return its number.

        The version is on the disk, complete, before this returns. It is the default unless one was set.

        Args:
            new: what to publish.
            candidate: it answers only where it is named: the version that is the default now is set as such before.

        Raises:
            InvalidInput: the manifest is an unchecked copy, and what it has for the model's name is none.
            OSError: the disk is full or may not be written.
        """
        validate_model_name(new.manifest.model, "model")
        self.root.mkdir(parents=True, exist_ok=True)
        model_folder = self.root / new.manifest.model
        model_folder.mkdir(exist_ok=True)
        bundle.sync_folder(self.root)
        with self._staging() as staged:
            bundle.write(staged, new)
            if candidate and self._versions(model_folder.name):
                self.change_rollout(model_folder.name, Rollout.pinned)
            version = self._place(staged, model_folder)
        bundle.sync_folder(model_folder)
        return version

    def prune(self, model: str, keep: int) -> list[int]:
        """Delete the oldest versions but `keep`. Returns what was deleted.

        The default and the one before it, the canary, the shadow, what is kept loaded, and whatever one of those that
        stay was made from are not deleted.

        Raises:
            ModelNotFound: the model has no version.
            InvalidInput: `keep` is less than 1.
            BundleError: it cannot be read which ones are in use.
        """
        if keep < 1:
            raise InvalidInput("at least one version must be kept", "keep")
        self.versions(model)
        with self._locked(model):
            return self._prune(model, keep)

    def _prune(self, model: str, keep: int) -> list[int]:
        versions = self.versions(model)
        rollout = self.rollout(model)
        stay = {*versions[-keep:], *rollout.in_use, *rollout.previous[-1:], *rollout.kept}
        stay |= self._ancestors(model, stay)
        deleted = [version for version in versions if version not in stay]
        for version in deleted:
            # Two may prune at once, and then one of them finds it gone.
            with self._staging() as staged, suppress(FileNotFoundError):
                # Out of sight in one step, so that a kill half-way through the deletion leaves no half version.
                (self.root / model / str(version)).rename(staged / "pruned")
        if deleted:
            bundle.sync_folder(self.root / model)
        return deleted

    def _ancestors(self, model: str, versions: set[int]) -> set[int]:
        """What these versions were made from, and what that was made from. A damaged version does not say."""
        found: set[int] = set()
        left = [version for version in versions if version in self._versions(model)]
        while left:
            with suppress(BundleError):
                parent = bundle.read_manifest(self.root / model / str(left.pop())).lineage.parent
                if parent is not None and parent.model == model and parent.version not in found:
                    found.add(parent.version)
                    left += [parent.version]
        return found

    def _write_rollout(self, model: str, rollout: Rollout) -> None:
        with self._staging() as staged:
            with (staged / _ROLLOUT).open("x") as file:
                file.write(rollout.model_dump_json(exclude_defaults=True))
                file.flush()
                os.fsync(file.fileno())
            (staged / _ROLLOUT).rename(self.root / model / _ROLLOUT)
        bundle.sync_folder(self.root / model)

    @contextmanager
    def _locked(self, model: str) -> Iterator[None]:
        """Nobody else changes what was decided about this model meanwhile."""
        descriptor = os.open(self.root / model, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _versions(self, model: str) -> list[int]:
        folder = self.root / model
        if not folder.is_dir():
            return []
        return sorted(
            int(entry.name) for entry in folder.iterdir() if _VERSION.fullmatch(entry.name) and entry.is_dir()
        )

    def _place(self, staged: Path, model_folder: Path) -> int:
        while True:
            version = max(self._versions(model_folder.name), default=0) + 1
            try:
                staged.rename(model_folder / str(version))
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            else:
                return version

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A hidden folder on the repository's own file system, gone afterwards.

        Its owner holds a lock on it, so that what a killed process left behind can be told apart and swept away.
        """
        self._sweep()
        folder, descriptor = self._locked_folder()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)

    def _locked_folder(self) -> tuple[Path, int]:
        while True:
            folder = self.root / f"{_STAGING}{secrets.token_hex(8)}"
            folder.mkdir()
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)  # another process swept it between its making and its locking

    def _sweep(self) -> None:
        for folder in self.root.glob(f"{_STAGING}*"):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:  # another process swept it first
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)
