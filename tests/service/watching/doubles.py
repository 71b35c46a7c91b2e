"""A catalog and a clock for the tests of this room, observations of known rows, and an alarm."""

from datetime import UTC, datetime

import numpy as np

from models.accuracy.agreement_estimator import AgreementEstimator
from models.accuracy.estimator import Estimator
from models.accuracy.logistic import LogisticRegression
from models.errors import VersionNotFound
from models.moments.window import WindowMoments
from models.runtime.engine import Engine
from service.catalog.served_version import ServedVersion
from service.watching.alarms.alarm import Alarm
from service.watching.alarms.alarm_report import AlarmReport, PeakReport
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
    """Serves one version until it is unloaded, and has it in its repository until it is pruned.

    It is the default version until it is replaced.
    """

    def __init__(self, served: ServedVersion) -> None:
        self._version = served
        self._served = self._stored = self._is_default = True
        self.repository = self

    def get(self, model: str, version: int | None = None) -> ServedVersion:
        self.validate_version(model, version)
        return self._version

    def find(self, model: str, version: int) -> ServedVersion | None:
        is_it = self._served and (model, version) == (self._version.model, self._version.version)
        return self._version if is_it else None

    def validate_version(self, model: str, version: int | None) -> None:
        if not self._stored or (model, version) != (self._version.model, self._version.version):
            raise VersionNotFound(model, version)

    def served(self) -> list[ServedVersion]:
        return [self._version] if self._served else []

    def has_role(self, model: str, version: int) -> bool:
        return self._served and self._is_default and (model, version) == (self._version.model, self._version.version)

    def replace(self) -> None:
        self._is_default = False

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
    found = observed_model.observe({INPUT: rows})
    layers = {name: WindowMoments.of(statistics) for name, statistics in found.layers.items()}
    return Observation("tiny", 1, layers, found.classes)


def oracle(observed_model: ObservedModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the layer in these rows, by numpy."""
    z = observed_model.observe({INPUT: rows}).layers[NORM].mean  # one position: the mean is the value
    return z.mean(axis=0), z.var(axis=0)


ESTIMATOR = AgreementEstimator(
    Estimator(LogisticRegression(np.zeros(3), np.ones(3), np.array([0.0, 0.5, 0.5, 0.0])), 0.1),
    confident_at=0.9,
    scale=0.98,
    block_rows=8,
)
"""The accuracy is the mean of both shares, in log odds."""

ALARM = Alarm(
    model="tiny",
    version="1",
    alarm=True,
    verdict="covariate_shift",
    message="It has moved.",
    time=datetime(2026, 1, 2, tzinfo=UTC),
    rows=64,
    statistic=9.0,
    threshold=4.0,
    symmetric_kl=1.5,
    wasserstein=0.5,
    layers={"norm": 1.5},
    course=AlarmReport(
        began=datetime(2026, 1, 2, tzinfo=UTC),
        ended=None,
        windows=1,
        peak=PeakReport(
            time=datetime(2026, 1, 2, tzinfo=UTC), significance=2.25, symmetric_kl=1.5, estimated_accuracy=None
        ),
        first_layer="norm",
        classes=[],
    ),
)
