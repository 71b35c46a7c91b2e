"""The observed models of the served versions, opened on first use."""

import threading
import weakref
from collections.abc import Callable

import structlog

from models.errors import DengeError
from service.catalog.served_version import ServedVersion
from service.watching.observed_model import ObservedModel

log = structlog.get_logger()


class ObservedModels:
    """Opens observed models, and keeps each as long as its version is served. Safe to use from any thread.

    Args:
        open_model: opens the observed model of a version; returns None if its bundle has no observed graph.
    """

    def __init__(self, open_model: Callable[[ServedVersion], ObservedModel | None]) -> None:
        self._open_model = open_model
        self._models: dict[int, ObservedModel | None] = {}
        self._opening = threading.Lock()

    def of(self, served: ServedVersion) -> ObservedModel | None:
        """Returns the observed model of a version, which the first call loads; None if it has none."""
        with self._opening:
            if id(served) not in self._models:
                self._models[id(served)] = self._open(served)
                weakref.finalize(served, self._models.pop, id(served)).atexit = False
            return self._models[id(served)]

    def scorer(self, served: ServedVersion) -> ObservedModel | None:
        """Returns the observed model of a version that can score rows, which needs a reference; None if it cannot."""
        return None if served.manifest.drift is None else self.of(served)

    def _open(self, served: ServedVersion) -> ObservedModel | None:
        try:
            return self._open_model(served) if served.is_batchable else None
        except (DengeError, OSError) as error:
            log.error("observed_graph_not_loaded", model=served.model, version=served.version, exc_info=error)
            return None
