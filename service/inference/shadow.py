"""Runs a shadow version on what the default one has answered, and compares: beside the answers, never before them."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
import structlog

from models.classification import predicted_classes
from models.datatypes import Array
from models.errors import InferenceFailed
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.host import priority
from service.telemetry.statistics import ServiceStatistics, ShadowComparison

log = structlog.get_logger()

_MAX_WAITING = 2
"""Requests that wait for the shadow. It need not see all of them, and their inputs take memory."""


class Shadow:
    """Compares answers, for one event loop.

    Args:
        catalog: says which version is compared with which.
        statistics: where it is counted.
    """

    def __init__(self, catalog: Catalog, statistics: ServiceStatistics) -> None:
        self._catalog = catalog
        self._statistics = statistics
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shadow", initializer=priority.lower_this_thread)
        self._waiting = 0

    def offer(self, served: ServedVersion, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """Compare an answer, unless there is no shadow or it is busy."""
        shadow = self._catalog.shadow_of(served)
        if shadow is None:
            return
        counted = self._statistics.comparisons[served.model, served.version, shadow.version]
        if self._waiting >= _MAX_WAITING:
            counted.dropped += 1
            return
        self._waiting += 1
        compared = asyncio.get_running_loop().run_in_executor(self._pool, _compare, shadow, inputs, outputs)
        compared.add_done_callback(lambda done: self._count(counted, done))

    def close(self) -> None:
        """Compare nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def _count(self, counted: ShadowComparison, done: "asyncio.Future[ShadowComparison]") -> None:
        self._waiting -= 1
        if not done.cancelled():
            counted.merge(done.result())


def _compare(shadow: ServedVersion, inputs: Mapping[str, Array], answered: Mapping[str, Array]) -> ShadowComparison:
    found = ShadowComparison()
    start = perf_counter()
    try:
        outputs = shadow.engine.run(inputs)
        found.runs.add(perf_counter() - start)
        for name, expected in answered.items():
            found.largest_difference = max(found.largest_difference, _largest_difference(expected, outputs[name]))
    except (InferenceFailed, KeyError, ValueError) as error:
        log.warning("shadow_failed", model=shadow.model, version=shadow.version, error=str(error))
        return ShadowComparison(failed_runs=1)
    found.rows = shadow.count_rows(inputs)
    scores = shadow.manifest.outputs[0].name
    if shadow.manifest.num_classes is not None and scores in answered:
        found.classified = found.rows
        found.agreed = int((predicted_classes(answered[scores]) == predicted_classes(outputs[scores])).sum())
    return found


def _largest_difference(one: Array, other: Array) -> float:
    """Where both are finite.

    Raises:
        ValueError: they have different shapes.
    """
    if one.shape != other.shape:
        raise ValueError(f"shapes {one.shape} and {other.shape}")
    if not (np.issubdtype(one.dtype, np.number) and np.issubdtype(other.dtype, np.number)):
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(difference[np.isfinite(difference)].max(initial=0.0))
