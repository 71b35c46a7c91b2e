"""What is in a repository: models, their versions, and the folders that cannot be used."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import StorageError
from models.manifest import MODEL_NAME

_NUMBER = re.compile(r"[1-9][0-9]*")
_MAX_DIGITS = 18  # 64 bits, as other servers have them


@dataclass(frozen=True)
class ModelListing:
    """The versions of one model.

    Attributes:
        versions: numbers, oldest first.
        unusable: why other folders are no versions, by name; the model's own folder has the name "".
    """

    versions: tuple[int, ...] = ()
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def next_version(self) -> int:
        """The number after all versions, and after what takes the place of one."""
        taken = [int(name) for name in self.unusable if 0 < len(name) <= _MAX_DIGITS]
        return max([*self.versions, *taken], default=0) + 1


def is_version(name: str) -> bool:
    """Whether something has a version's name: a number without leading zeros, however long."""
    return _NUMBER.fullmatch(name) is not None


def reason_against_number(name: str) -> str:
    """Why a number is no version; empty if it is one."""
    return f"a version has at most {_MAX_DIGITS} digits" if len(name) > _MAX_DIGITS else ""


def list_models(root: Path) -> dict[str, ModelListing]:
    """Everything in a repository that is a model or is named like one, by name; empty if there is no repository.

    Raises:
        StorageError: the repository cannot be read.
    """
    found: dict[str, ModelListing] = {}
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if MODEL_NAME.fullmatch(entry.name) and (listing := _list_entry(entry)) != ModelListing():
                    found[entry.name] = listing
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StorageError(f"the repository cannot be read: {error.strerror}") from error
    return dict(sorted(found.items()))


def list_model(folder: Path) -> ModelListing:
    """What is in the folder of a model; nothing if there is no such folder."""
    versions: list[int] = []
    unusable: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_version(entry.name):
                    continue
                if reason := _reason_against(entry):
                    unusable[entry.name] = reason
                else:
                    versions.append(int(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return ModelListing()
    except OSError as error:
        return ModelListing(unusable={"": f"its folder cannot be read: {error.strerror}"})
    return ModelListing(tuple(sorted(versions)), unusable)


def _list_entry(entry: "os.DirEntry[str]") -> ModelListing:
    try:
        if entry.is_dir():
            return list_model(Path(entry.path))
    except OSError as error:
        return ModelListing(unusable={"": f"its folder cannot be read: {error.strerror}"})
    return ModelListing(unusable={"": "it is a link to no folder"}) if entry.is_symlink() else ModelListing()


def _reason_against(entry: "os.DirEntry[str]") -> str:
    """Why something named like a version is none; empty if it is one."""
    try:
        is_folder = entry.is_dir()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not is_folder:
        return "it is a link to no folder" if entry.is_symlink() else "it is not a folder"
    return reason_against_number(entry.name)
