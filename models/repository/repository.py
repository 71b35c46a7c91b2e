"""Names to versions: what is in a repository, which version answers, and which versions stay.

Where the bundles are, and how a version becomes visible, is a matter of the storage: `folder_storage.py`, and
`object_storage.py` for buckets.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.errors import BundleError, InvalidInput, ModelNotFound, StorageError, VersionNotFound
from models.manifest import MODEL_NAME
from models.repository import bundle
from models.repository.bundle import AnyBundle, Bundle, ServedBundle
from models.repository.cache import BundleCache
from models.repository.folder_storage import FolderStorage
from models.repository.listing import ModelListing
from models.repository.location import parse_location
from models.repository.rollout import Rollout
from models.repository.storage import Storage, StoredModel


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
    """Bundles by model and version, in a folder or a bucket.

    Args:
        root: a folder, created on the first publish when it does not exist; or a URL (`models.repository.location`).
        cache: of bundles, for a URL; without one, every read downloads the bundle.

    Raises:
        InvalidInput: the URL is not one of object storage, or the extra for it is not installed.
    """

    def __init__(self, root: Path | str, cache: BundleCache | None = None) -> None:
        self.root = parse_location(root)
        self.cache = cache
        self._storage = _open_storage(self.root, cache)

    def __repr__(self) -> str:
        return f"Repository({str(self.root)!r})"

    @property
    def location(self) -> str:
        """The root for another process: an absolute path or a URL."""
        return str(self.root.absolute()) if isinstance(self.root, Path) else self.root

    def validate_writable(self) -> None:
        """Check that versions can be published here, before the work of making one.

        Raises:
            InvalidInput: the root is not a folder, or may not be written.
            StorageError: the bucket does not answer, or may not be written.
        """
        self._storage.validate_writable()

    def listing(self) -> dict[str, ModelListing]:
        """All models by name, sorted, with what cannot be used.

        Raises:
            StorageError: the repository cannot be read.
        """
        return self._storage.list_models()

    def last_seen(self) -> dict[str, StoredModel]:
        """Models by name as they were last read of a bucket, with the versions that are on this machine.

        To serve them where the bucket does not answer at the start. Empty for a folder.
        """
        return self._storage.last_seen()

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
        listing = self._storage.list_model(model) if MODEL_NAME.fullmatch(model) else ModelListing()
        if reason := listing.unusable.get(""):
            raise StorageError(f"model '{model}': {reason}")
        if not listing.versions:
            raise ModelNotFound(model, self.models())
        return [*listing.versions]

    def delete_abandoned(self) -> None:
        """Delete what dead processes have left of versions that they did not publish."""
        self._storage.delete_abandoned()

    def validate_version(self, model: str, version: int) -> None:
        """Check that a version exists.

        Raises:
            ModelNotFound, VersionNotFound: it does not.
        """
        if version not in (known := self.versions(model)):
            raise VersionNotFound(model, version, known)

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
        return self._storage.rollout(model).without_missing(versions)

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

        def decide(stored: Rollout) -> Rollout:
            versions = self.versions(model)
            before = stored.without_missing(versions)
            return change(before, before.default or versions[-1])

        return self._storage.change_rollout(model, decide)

    def read(self, model: str, version: int) -> Bundle:
        """Read and verify one version.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            BundleError: it is damaged or foreign, or its manifest is of another model.
        """
        return self._read(model, version, bundle.read)

    def read_served(self, model: str, version: int) -> ServedBundle:
        """Read and verify what of a version is needed to serve it. Errors are those of `read`."""
        return self._read(model, version, bundle.read_served)

    def trained_version(self, model: str, version: int) -> int:
        """The version that a re-calibrated one was made from, directly or not, with its statistics of training.

        Any other version is returned itself, and so is a re-calibrated one whose parent is not here.

        Raises:
            ModelNotFound, VersionNotFound: there is no such version.
            BundleError: it is damaged or foreign.
        """
        self.validate_version(model, version)
        versions, found = self.versions(model), version
        while (lineage := self._storage.read_manifest(model, found).lineage).recalibration is not None:
            if lineage.parent is None or lineage.parent.model != model or lineage.parent.version not in versions:
                return version
            found = lineage.parent.version
        return found

    def digest(self, model: str, version: int) -> str:
        """A digest of one version, which is not verified.

        Raises:
            BundleError: there is no such version, or it cannot be read.
        """
        return self._storage.digest(model, version)

    def size(self, model: str, version: int) -> int:
        """Bytes of the files of one version; 0 if there is none."""
        return self._storage.size(model, version)

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
        model = new.manifest.model
        validate_model_name(model, "model")  # copies of a manifest are not validated

        def pin_default() -> None:
            if candidate and self._storage.list_model(model).versions:
                self.change_rollout(model, Rollout.pinned)

        return self._storage.publish(model, bundle.pack(new), pin_default)

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
        model, files = new.manifest.model, bundle.pack(new)
        validate_model_name(model, "model")  # copies of a manifest are not validated
        if self._storage.publish_as(model, files, version):
            return
        if self.digest(model, version) != bundle.digest_of(files[bundle.DIGESTS]):
            raise BundleError(f"{model}/{version} is there already, and is another bundle")

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
        return self._storage.delete_versions(model, lambda: self._versions_to_prune(model, keep))

    def _read(self, model: str, version: int, read_bundle: Callable[[Path], AnyBundle]) -> AnyBundle:
        found = self._storage.read(model, version, read_bundle) if MODEL_NAME.fullmatch(model) else None
        if found is None:
            self.validate_version(model, version)
            raise BundleError(f"{model}/{version} was deleted meanwhile")
        if found.manifest.model != model:
            raise BundleError(f"{model}/{version} has the manifest of another model: '{found.manifest.model}'")
        return found

    def _versions_to_prune(self, model: str, keep: int) -> list[int]:
        versions = self.versions(model)
        rollout = self.rollout(model)
        stay = {*versions[-keep:], *rollout.in_use, *rollout.previous[-1:], *rollout.loaded}
        stay |= self._ancestors(model, stay)
        return [version for version in versions if version not in stay]

    def _ancestors(self, model: str, versions: set[int]) -> set[int]:
        """Parents of these versions, their parents, and so on, as far as manifests can be read."""
        found: set[int] = set()
        left = [version for version in versions if version in self._storage.list_model(model).versions]
        while left:
            with suppress(BundleError):
                parent = self._storage.read_manifest(model, left.pop()).lineage.parent
                if parent is not None and parent.model == model and parent.version not in found:
                    found.add(parent.version)
                    left += [parent.version]
        return found


def _open_storage(root: Path | str, cache: BundleCache | None) -> Storage:
    if isinstance(root, Path):
        return FolderStorage(root)
    try:
        from models.repository.object_storage import ObjectStorage  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise InvalidInput(f"{error.name} is not installed: pip install 'denge[objects]'", "repository") from error
    return ObjectStorage(root, cache)
