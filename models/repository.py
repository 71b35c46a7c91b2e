"""Names to versions: the folder of bundles, `<root>/<model>/<version>/`.

A version becomes visible by one rename of a complete, synced folder, so a kill at any point leaves the old state or the
new one. The rename fails when the version exists, so concurrent publishers get different versions without a lock.
"""

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models import bundle
from models.bundle import Bundle
from models.errors import BundleError, InvalidInput, ModelNotFound, VersionNotFound
from models.manifest import MODEL_NAME

_VERSION = re.compile(r"[1-9][0-9]*")
_DEFAULT = "default"
_STAGING = ".incoming-"


class Repository:
    """A folder of bundles.

    Args:
        root: created on the first publish when it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Repository({str(self.root)!r})"

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

    def default_version(self, model: str) -> int:
        """The version that answers when none is named: the one that was set, else the newest.

        Raises:
            ModelNotFound: the model has no version.
        """
        versions = self.versions(model)
        try:
            chosen = int((self.root / model / _DEFAULT).read_text("ascii"))
        except (OSError, ValueError):
            return versions[-1]
        return chosen if chosen in versions else versions[-1]

    def set_default(self, model: str, version: int) -> None:
        """Answer with this version when none is named, also after newer ones are published.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
        """
        self._require(model, version)
        with self._staging() as staged:
            with (staged / _DEFAULT).open("x") as file:
                file.write(f"{version}\n")
                file.flush()
                os.fsync(file.fileno())
            (staged / _DEFAULT).rename(self.root / model / _DEFAULT)
        bundle.sync_folder(self.root / model)

    def read(self, model: str, version: int) -> Bundle:
        """Read and verify one version.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            BundleError: it is damaged, foreign, or says that it is another model's.
        """
        self._require(model, version)
        found = bundle.read(self.root / model / str(version))
        if found.manifest.model != model:
            raise BundleError(f"{model}/{version} says that it is a version of '{found.manifest.model}'")
        return found

    def publish(self, new: Bundle) -> int:
        """Add a version to the model that the manifest names, and return its number.

        The version is on the disk, complete, before this returns. It is the default unless one was set.

        Raises:
            InvalidInput: the manifest is an unchecked copy, and what it has for the model's name is none.
            OSError: the disk is full or may not be written.
        """
        if not MODEL_NAME.fullmatch(new.manifest.model):
            raise InvalidInput(f"{new.manifest.model!r} is no name for a model", "model")
        self.root.mkdir(parents=True, exist_ok=True)
        model_folder = self.root / new.manifest.model
        model_folder.mkdir(exist_ok=True)
        bundle.sync_folder(self.root)
        with self._staging() as staged:
            bundle.write(staged, new)
            version = self._place(staged, model_folder)
        bundle.sync_folder(model_folder)
        return version

    def prune(self, model: str, keep: int) -> list[int]:
        """Delete the oldest versions but `keep`; the default and the newest always stay. Returns what was deleted.

        Raises:
            ModelNotFound: the model has no version.
            InvalidInput: `keep` is less than 1.
        """
        if keep < 1:
            raise InvalidInput("at least one version must be kept", "keep")
        default = self.default_version(model)
        deleted = [version for version in self.versions(model)[:-keep] if version != default]
        for version in deleted:
            # Two may prune at once, and then one of them finds it gone.
            with self._staging() as staged, suppress(FileNotFoundError):
                # Out of sight in one step, so that a kill half-way through the deletion leaves no half version.
                (self.root / model / str(version)).rename(staged / "pruned")
        if deleted:
            bundle.sync_folder(self.root / model)
        return deleted

    def _versions(self, model: str) -> list[int]:
        folder = self.root / model
        if not folder.is_dir():
            return []
        return sorted(
            int(entry.name) for entry in folder.iterdir() if _VERSION.fullmatch(entry.name) and entry.is_dir()
        )

    def _require(self, model: str, version: int) -> None:
        if version not in self.versions(model):
            raise VersionNotFound(model, version)

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
