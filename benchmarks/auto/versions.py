"""The versions of a simulated model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.drift.version_fit import VersionFit
from models.observation import RowStatistics
from models.repository.bundle import Bundle
from service.watching.version_monitor import VersionMonitor

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
Positions = NDArray[np.int64]
"""Of rows, or of classes."""


@dataclass(frozen=True)
class Answers:
    """What a version answers for all images of a condition.

    Attributes:
        probabilities: shape (n, K).
        layers: statistics of each image by layer.
    """

    probabilities: Floats
    layers: Mapping[str, RowStatistics]

    @cached_property
    def classes(self) -> Positions:
        """The most probable class of each image, shape (n,)."""
        classes: Positions = self.probabilities.argmax(axis=1)
        return classes


@dataclass
class Version:
    """A version that was published.

    Attributes:
        fit: compares its rows with the base's; None for the base.
        answers: by condition.
        waiting: images, and its probabilities for them, that are no block yet.
    """

    bundle: Bundle
    monitor: VersionMonitor
    fit: VersionFit | None
    answers: dict[str, Answers] = field(default_factory=dict)
    waiting: list[tuple[Images, Floats]] = field(default_factory=list)
