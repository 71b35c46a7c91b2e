"""The index: every version that is stored or loaded, and its state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from service.catalog.snapshot import ModelSnapshot

LoadState = Literal["READY", "UNAVAILABLE"]


@dataclass(frozen=True)
class IndexEntry:
    """One version in the repository or in memory.

    Attributes:
        name, version: of the model.
        state: whether it is loaded.
        reason: why it is not; empty where it is.
    """

    name: str
    version: int
    state: LoadState
    reason: str = ""


def index_versions(stored: Mapping[str, Sequence[int]], models: Mapping[str, ModelSnapshot]) -> list[IndexEntry]:
    """One entry for each version, by name and version.

    Args:
        stored: versions in the repository, by name of the model.
        models: what is loaded, by name of the model.
    """
    entries: list[IndexEntry] = []
    for name in sorted({*stored, *models}):
        model = models.get(name, ModelSnapshot())
        for version in sorted({*stored.get(name, ()), *model.loaded}):
            if version in model.loaded:
                entries.append(IndexEntry(name, version, "READY"))
            else:
                entries.append(IndexEntry(name, version, "UNAVAILABLE", model.failed.get(version, "not loaded")))
    return entries
