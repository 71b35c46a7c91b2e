"""Chooses the version for each row of a request by domain, and joins what several versions have answered.

The default version's first layers are observed on the rows before, in a thread. So a model with domains answers no
request on the event loop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Array
from models.errors import Overloaded
from service.catalog.served_domains import ServedDomains
from service.catalog.served_version import ServedVersion
from service.inference.queue import Outputs
from service.telemetry.statistics import ServiceStatistics
from service.watching.observed_models import ObservedModels

RowVersions = NDArray[np.int64]
"""The version that answers each row, shape (rows,)."""

_THREADS = 2
MAX_CHOSEN_ROWS = 256
"""Of one run of these layers, which bounds the memory that a large request takes."""


class DomainRouter:
    """Chooses versions in threads of its own, for one event loop.

    Args:
        observed_models: the observed first layers of the served versions.
        statistics: where rows are counted.
        max_waiting: requests that may wait for it at the same time.
    """

    def __init__(self, observed_models: ObservedModels, statistics: ServiceStatistics, max_waiting: int) -> None:
        self._observed_models = observed_models
        self._statistics = statistics
        self._max_waiting = max_waiting
        self._waiting = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="domains")

    async def choose(self, domains: ServedDomains, inputs: Mapping[str, Array]) -> RowVersions:
        """The version that answers each row of a request.

        Raises:
            Overloaded: too many requests wait.
            InferenceFailed: the runtime failed on these inputs.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"{self._max_waiting} requests wait for their domain already: try again later")
        self._waiting += 1
        context = copy_context()  # the log has the id of the request
        loop = asyncio.get_running_loop()
        try:
            versions = await loop.run_in_executor(self._pool, lambda: context.run(self._choose, domains, inputs))
        finally:
            self._waiting -= 1
        for version, rows in zip(*np.unique(versions, return_counts=True), strict=True):
            self._statistics.of(domains.parent.model, int(version)).routed += int(rows)
        return versions

    def close(self) -> None:
        """Choose nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _choose(self, domains: ServedDomains, inputs: Mapping[str, Array]) -> RowVersions:
        parent = domains.parent
        rows = parent.count_rows(inputs)
        observed_model = self._observed_models.of(parent)
        chosen = np.full(rows, parent.version)
        if observed_model is not None:
            for begin in range(0, rows, MAX_CHOSEN_ROWS):
                part = {name: array[begin : begin + MAX_CHOSEN_ROWS] for name, array in inputs.items()}
                chosen[begin : begin + MAX_CHOSEN_ROWS] = domains.choose(observed_model.observe_layers(part))
        return chosen


def split_rows(domains: ServedDomains, versions: RowVersions) -> list[tuple[ServedVersion, NDArray[np.int64]]]:
    """The versions that answer rows of a request, each with the positions of its rows; the default one for no rows."""
    served = (domains.parent, *domains.versions)
    parts = [(one, np.flatnonzero(versions == one.version)) for one in served]
    return [part for part in parts if len(part[1])] or parts[:1]


def join_rows(parts: Sequence[tuple[NDArray[np.int64], Outputs]]) -> Outputs:
    """What several versions have answered, in the order of the request's rows.

    Args:
        parts: positions of the rows, and outputs for them, of each version.
    """
    order = np.argsort(np.concatenate([positions for positions, _ in parts]))
    first = parts[0][1]
    return {name: np.concatenate([outputs[name] for _, outputs in parts])[order] for name in first}


def describe_versions(versions: RowVersions) -> bytes:
    """How many rows each version has answered, for a header: ``1=30, 2=2``."""
    counts = zip(*np.unique(versions, return_counts=True), strict=True)
    return ", ".join(f"{version}={rows}" for version, rows in counts).encode()
