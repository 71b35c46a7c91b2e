"""Engines that are opened quickly while the service starts, and optimised once its port is open."""

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog

from models.errors import DengeError
from models.manifest import Manifest
from models.runtime.quick_engine import QuickEngine
from models.stored_graph import SerializedGraph, size_of
from service.composition.shared_weights import is_worth_sharing
from service.host import priority
from service.host.memory import reusing_all_freed
from service.settings import Settings

log = structlog.get_logger()

MAX_BYTES = 512 << 20
"""Of graphs that are opened in this way: their weights stay in memory for that long."""


class QuickEngines:
    """Opens large convolutional networks quickly, until it is asked to optimise them. Safe to use from any thread.

    Most of the time to open such a network is the time to lay out its weights for the processor.

    Args:
        settings: of the service.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._bytes_left = MAX_BYTES if settings.provider == "cpu" and settings.precision == "float32" else 0
        self._opened: list[QuickEngine] = []
        self._is_closed = False

    def open(self, graph: SerializedGraph, manifest: Manifest) -> QuickEngine | None:
        """The engine of a graph; None where it is to be opened as usual."""
        is_simple = manifest.is_batchable and all(
            spec.datatype == "FP32" and spec.has_free_first_axis and -1 not in spec.shape[1:]
            for spec in manifest.inputs
        )
        if not (is_simple and is_worth_sharing(graph) and self._reserve(size_of(graph))):
            return None
        engine = QuickEngine(graph, manifest.inputs, self._settings.threads, run_seconds=self._settings.run_seconds)
        with self._lock:
            self._opened.append(engine)
            is_late = self._is_closed
        if is_late:
            engine.optimize()
        return engine

    def optimize(self) -> None:
        """Optimise what was opened, in a thread of low priority, and open no more in this way."""
        with ThreadPoolExecutor(1, "optimize", initializer=priority.lower_this_thread) as pool:
            pool.submit(self._optimize_all).result()

    def _optimize_all(self) -> None:
        with self._lock:
            self._is_closed = True
            opened, self._opened = self._opened, []
        while opened:
            engine = opened.pop()
            try:
                with reusing_all_freed():
                    engine.optimize()
            except DengeError as error:  # it is served as it is
                log.error("graph_not_optimized", exc_info=error)

    def _reserve(self, size: int) -> bool:
        with self._lock:
            if self._is_closed or size > self._bytes_left:
                return False
            self._bytes_left -= size
            return True
