"""A catalog and a clock for the tests of this room, and observations of known rows."""

import numpy as np

from models.errors import VersionNotFound
from models.moments.window import WindowMoments
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from tests.bundles import INPUT, NORM
from tests.watching import watched_bundle


class Clock:
    def __init__(self) -> None:
        self.now = 1.7e9

    def __call__(self) -> float:
        return self.now


class Catalog:
    """Serves one version until it is unloaded, and has it in its repository until it is pruned."""

    def __init__(self, served: ServedVersion) -> None:
        self._version = served
        self._served = self._stored = True
        self.repository = self

    def get(self, model: str, version: int | None = None) -> ServedVersion:
        self.require(model, version)
        return self._version

    def require(self, model: str, version: int | None) -> None:
        if not self._stored or (model, version) != (self._version.model, self._version.version):
            raise VersionNotFound(model, version)

    def served(self) -> list[ServedVersion]:
        return [self._version] if self._served else []

    def unload(self) -> None:
        self._served = False

    def load(self) -> None:
        self._served = self._stored = True

    def prune(self) -> None:
        self._served = self._stored = False


def open_observed_model(served: ServedVersion) -> ObservedModel:
    bundle = watched_bundle()
    return ObservedModel(served, Engine(bundle.observed, bundle.manifest.inputs))


def observation(observed_model: ObservedModel, rows: np.ndarray) -> Observation:
    found, classes = observed_model.observe({INPUT: rows})
    return Observation("tiny", 1, {name: WindowMoments.of(statistics) for name, statistics in found.items()}, classes)


def oracle(observed_model: ObservedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the layer in these rows, by numpy."""
    z = observed_model.observe({INPUT: rows})[0][NORM].mean  # one position: the mean is the value
    return z.mean(axis=0), z.var(axis=0)
