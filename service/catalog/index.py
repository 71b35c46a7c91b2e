"""The index: every version that is stored or loaded, and its state."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from service.catalog.snapshot import ModelSnapshot

LoadState = Literal["READY", "UNAVAILABLE"]


class IndexEntry(NamedTuple):
    """One version in the repository or in memory, or a folder in the place of one.

    Attributes:
        name: of the model.
        version: its number, or the folder's name; empty where the whole model cannot be read.
        state: whether it is loaded.
        reason: why it is not; empty where it is.
    """

    name: str
    version: str
    state: LoadState
    reason: str = ""


def index_versions(models: Mapping[str, ModelSnapshot]) -> list[IndexEntry]:
    """One entry for each version, by name and version; what cannot be used comes after a model's versions."""
    return [entry for name in sorted(models) for entry in _entries(name, models[name])]


def _entries(name: str, model: ModelSnapshot) -> Iterator[IndexEntry]:
    for version in sorted({*model.stored, *model.loaded}):
        if version in model.loaded:
            yield IndexEntry(name, str(version), "READY")
        else:
            yield IndexEntry(name, str(version), "UNAVAILABLE", model.failed.get(version, "not loaded"))
    for folder, reason in sorted(model.unusable.items()):
        yield IndexEntry(name, folder, "UNAVAILABLE", reason)
