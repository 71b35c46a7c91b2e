"""The observed models of the served versions, opened on first use."""

import threading
import weakref
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import structlog

from models.errors import DengeError
from service.catalog.served_version import ServedVersion

if TYPE_CHECKING:
    from service.watching.observed_model import ObservedModel  # slow to import

log = structlog.get_logger()

FIRST_RETRY_SECONDS = 60.0
MAX_RETRY_SECONDS = 3600.0
"""Until a graph that could not be opened is tried again: twice as long after each failure, up to the second of them.
A full memory or a disk that is away may be back by then; a file that is damaged costs an attempt an hour."""


class _Attempt(NamedTuple):
    """The last attempt to open an observed model.

    Attributes:
        model: what was opened; None where there is none or it could not be opened.
        retry_seconds: how long after the attempt there is another one.
        retry_at: when that is, on the clock of `ObservedModels`.
    """

    model: "ObservedModel | None"
    retry_seconds: float = inf
    retry_at: float = inf


class ObservedModels:
    """Opens observed models, and keeps each as long as its version is served. Safe to use from any thread.

    Args:
        open_model: opens the observed model of a version; returns None if its bundle has no observed graph.
        clock: seconds that pass evenly.
    """

    def __init__(
        self, open_model: "Callable[[ServedVersion], ObservedModel | None]", clock: Callable[[], float] = monotonic
    ) -> None:
        self._open_model = open_model
        self._clock = clock
        self._attempts: dict[int, _Attempt] = {}
        self._opening = threading.Lock()

    def of(self, served: ServedVersion) -> "ObservedModel | None":
        """Returns the observed model of a version, which the first call loads; None if it has none, or none for now."""
        with self._opening:
            last = self._attempts.get(id(served))
            if last is None:
                weakref.finalize(served, self._attempts.pop, id(served), None).atexit = False
            if last is None or self._clock() >= last.retry_at:
                last = self._attempts[id(served)] = self._open(served, last)
            return last.model

    def scorer(self, served: ServedVersion) -> "ObservedModel | None":
        """Returns the observed model of a version that can score rows, which needs a reference; None if it cannot."""
        return None if served.manifest.drift is None else self.of(served)

    def _open(self, served: ServedVersion, last: _Attempt | None) -> _Attempt:
        try:
            return _Attempt(self._open_model(served) if served.is_batchable else None)
        except (DengeError, OSError, MemoryError) as error:
            seconds = FIRST_RETRY_SECONDS if last is None else min(2 * last.retry_seconds, MAX_RETRY_SECONDS)
            log.error(
                "observed_graph_not_loaded",
                model=served.model,
                version=served.version,
                retry_seconds=seconds,
                exc_info=error,
            )
            return _Attempt(None, seconds, self._clock() + seconds)
