"""Figures of several layers side by side in one array: what is computed of all layers takes one step."""

from collections.abc import Iterator, Mapping
from typing import Protocol, Self, TypeVar


class _OfChannels(Protocol):
    def of_channels(self, chosen: slice) -> Self: ...


T = TypeVar("T", bound=_OfChannels)


class SideBySide(Mapping[str, T]):
    """Figures of the same rows in several layers: as a mapping, those of each layer by name.

    Args:
        joint: with the channels of all layers.
        columns: channels of each layer in it, by name.

    Attributes:
        joint, columns: as given.
    """

    def __init__(self, joint: T, columns: Mapping[str, slice]) -> None:
        self.joint = joint
        self.columns = columns

    def __getitem__(self, layer: str) -> T:
        return self.joint.of_channels(self.columns[layer])

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)
