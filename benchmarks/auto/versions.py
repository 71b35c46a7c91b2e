"""The versions of a simulated model."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.drift.version_fit import VersionFit
from models.observation import RowStatistics
from models.repository.bundle import Bundle
from service.watching.version_monitor import VersionMonitor


@dataclass(frozen=True)
class Answers:
    """What a version answers for all images of a condition.

    Attributes:
        probabilities: shape (n, K).
        layers: statistics of each image by layer.
    """

    probabilities: NDArray[np.float64]
    layers: dict[str, RowStatistics]


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
    waiting: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = field(default_factory=list)
