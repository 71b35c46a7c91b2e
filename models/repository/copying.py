"""The model that a folder holds, copied into a repository: as model servers are given one by their platform."""

from dataclasses import replace
from pathlib import Path

from models.errors import BundleError, InvalidInput
from models.repository import bundle, rollout
from models.repository.bundle import Bundle
from models.repository.files import read_file
from models.repository.listing import list_model
from models.repository.repository import Repository
from models.repository.rollout import MAX_ROLLOUT_BYTES, ROLLOUT, Rollout


def copy_model(folder: Path, name: str, repository: Repository) -> list[int]:
    """Copy a bundle, as version 1, or the versions of a model with their numbers and their rollout.

    What has been copied before stays as it is, and so does a rollout that has been changed since.

    Args:
        folder: of a bundle, or of a model in another repository. It is only read.
        name: of the model in the repository, whatever its name was.
        repository: to copy into.

    Returns:
        The versions in the folder, oldest first.

    Raises:
        InvalidInput: the folder holds no version, or the name cannot be a model's.
        BundleError: a version is damaged or foreign, or another bundle has its number in the repository.
        OSError: the disk is full or may not be written.
    """
    if (folder / bundle.DIGESTS).is_file():
        repository.publish_as(_renamed(bundle.read(folder), name), 1)
        return [1]
    versions = list_model(folder).versions
    if not versions:
        raise InvalidInput(f"{folder} is no bundle, and has no version of a model in it", "model_path")
    is_new = not repository.listing().get(name)
    for version in versions:
        repository.publish_as(_renamed(bundle.read(folder / str(version)), name), version)
    if is_new and (decided := _rollout(folder)) is not None:
        repository.change_rollout(name, lambda _before, _default: decided)
    return [*versions]


def _renamed(found: Bundle, name: str) -> Bundle:
    return replace(found, manifest=found.manifest.model_copy(update={"model": name}))


def _rollout(folder: Path) -> Rollout | None:
    try:
        return rollout.parse(read_file(folder / ROLLOUT, MAX_ROLLOUT_BYTES), folder.name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"{folder.name}/{ROLLOUT} cannot be read: {error.strerror}") from error
