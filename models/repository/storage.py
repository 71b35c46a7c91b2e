"""What a repository needs of the place where its bundles are: one interface for folders and object storage."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from models.manifest import Manifest
from models.repository.bundle import AnyBundle
from models.repository.listing import ModelListing
from models.repository.rollout import Rollout
from models.stored_graph import Content


class StoredModel(NamedTuple):
    """The versions of a model, oldest first, and what has been decided about them."""

    versions: tuple[int, ...]
    rollout: Rollout


class Storage(ABC):
    """Bundles by model and version, and a rollout for each model. Names of models have been validated.

    All methods raise StorageError where the storage does not answer or refuses, and FolderStorage an OSError where a
    disk is full or may not be written.
    """

    @abstractmethod
    def validate_writable(self) -> None:
        """Raise InvalidInput or StorageError unless something can be written."""

    @abstractmethod
    def list_models(self) -> dict[str, ModelListing]:
        """Everything that is a model or is named like one, by name, sorted."""

    @abstractmethod
    def list_model(self, model: str) -> ModelListing:
        """The versions of one model; nothing if there is no such model."""

    @abstractmethod
    def read(self, model: str, version: int, read_bundle: Callable[[Path], AnyBundle]) -> AnyBundle | None:
        """What is wanted of a bundle; None if there is no such version.

        Args:
            model: its name.
            version: of it.
            read_bundle: reads and verifies it in the folder where it is on this machine.

        Raises:
            BundleError: it is damaged or foreign.
        """

    @abstractmethod
    def read_manifest(self, model: str, version: int) -> Manifest:
        """The manifest of a version, not verified.

        Raises:
            BundleError: it is missing or cannot be read.
        """

    @abstractmethod
    def digest(self, model: str, version: int) -> str:
        """The digest of a version: of the list of its files' digests.

        Raises:
            BundleError: there is no such list.
        """

    @abstractmethod
    def size(self, model: str, version: int) -> int:
        """Bytes of the files of a version; 0 if there is none."""

    @abstractmethod
    def publish(self, model: str, files: Mapping[str, Content], before_visible: Callable[[], None]) -> int:
        """Store the files of a bundle as the next version, and return its number.

        Args:
            model: its name.
            files: by name, as `models.repository.bundle.pack` returns them.
            before_visible: called when all files are stored, before readers see the version.
        """

    @abstractmethod
    def publish_as(self, model: str, files: Mapping[str, Content], version: int) -> bool:
        """Store the files of a bundle under a number. False if the number has a version already.

        Raises:
            BundleError: another bundle is being published under the number.
        """

    @abstractmethod
    def delete_abandoned(self) -> None:
        """Delete what is left of versions that were never published."""

    @abstractmethod
    def rollout(self, model: str) -> Rollout:
        """The rollout as it is stored; an empty one if there is none.

        Raises:
            BundleError: it cannot be read.
        """

    @abstractmethod
    def change_rollout(self, model: str, change: Callable[[Rollout], Rollout]) -> Rollout:
        """Replace the rollout, unless another process has changed it meanwhile: then `change` gets that one.

        Args:
            model: its name.
            change: from the stored rollout to the new one. May be called several times.

        Raises:
            BundleError: the stored rollout cannot be read.
        """

    @abstractmethod
    def delete_versions(self, model: str, choose: Callable[[], list[int]]) -> list[int]:
        """Delete the versions that `choose` returns, and return them. Two processes may do this at once."""

    def last_seen(self) -> dict[str, StoredModel]:
        """What was last read here of a storage that does not answer now, as far as its bundles are on this machine."""
        return {}
