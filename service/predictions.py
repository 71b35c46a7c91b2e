"""What answers predictions: part of the one process that serves, or all that a worker has."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.types import ASGIApp

from models.manifest import Manifest
from models.repository.bundle import Bundle
from models.repository.repository import Repository
from models.runtime.engine import Engine, buckets
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.host import memory
from service.http.access import client_address
from service.http.context import RequestContext, current_scope
from service.http.direct import Application, Direct
from service.http.fast_path import FastPath
from service.inference.batcher import Batcher
from service.inference.shadow import Shadow
from service.recalibrating.collector import Collector
from service.routes import images, infer, predict
from service.routes.examples import Examples
from service.settings import Settings
from service.telemetry.logs import request_logger
from service.telemetry.statistics import ServiceStatistics
from service.watching.budget import HEAD_START_SECONDS, Budget
from service.watching.observation import Observation
from service.watching.observed_model import ObservedModel
from service.watching.observed_models import ObservedModels
from service.watching.observer import MAX_OBSERVED_ROWS, Observer

Array = NDArray[Any]


def engine_starter(settings: Settings) -> Callable[[Bundle], Engine]:
    """What makes the engine of a bundle."""

    def start(bundle: Bundle) -> Engine:
        manifest = bundle.manifest
        most = settings.limits.of(manifest.batching).max_batch_rows
        sizes = _warmed_up(settings, manifest, most)
        return Engine(bundle.folded, manifest.inputs, settings.provider, settings.threads, sizes)

    return start


def _warmed_up(settings: Settings, manifest: Manifest, most: int) -> tuple[int, ...]:
    """Batch sizes up to the most that comes: a GPU chooses its kernels by shape, which takes long when one is new."""
    return buckets(most) if settings.provider == "cuda" and manifest.batchable else ()


def watcher_opener(settings: Settings, repository: Repository) -> Callable[[ServedVersion], ObservedModel | None]:
    """What makes the observed_model of a version, where its bundle has an observed graph."""

    def open_watcher(served: ServedVersion) -> ObservedModel | None:
        observed = repository.read(served.model, served.version).observed
        if observed is None:
            return None
        sizes = _warmed_up(settings, served.manifest, MAX_OBSERVED_ROWS)
        engine = Engine(observed, served.manifest.inputs, settings.provider, threads=1, buckets=sizes)
        memory.give_back()
        return ObservedModel(served, engine)

    return open_watcher


class Predictions:
    """Runs the models of a catalog for callers.

    Args:
        settings: all that can be set.
        catalog: the models.
        guard: knows who may predict.
        statistics: where requests and runs are counted.
        shown: what the docs page shows.
        sink: takes what is observed of the layers, in a thread.
        collector: takes rows for re-calibrations.

    Attributes:
        routers: the routes of predictions.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        guard: Guard,
        statistics: ServiceStatistics,
        shown: Examples,
        sink: Callable[[Observation], None],
        collector: Collector,
    ) -> None:
        self._settings = settings
        self._statistics = statistics
        self._shadow = Shadow(catalog, statistics)
        self._collector = collector
        self._guard = guard
        observed_models = ObservedModels(watcher_opener(settings, catalog.repository))
        self._observer = (
            Observer(observed_models, sink, Budget(settings.watch_percent, HEAD_START_SECONDS), statistics)
            if settings.watch_percent
            else None
        )
        self._batcher = Batcher(statistics, settings.limits, self._answered)
        self._infer = infer.Infer(
            catalog, self._batcher, guard, observed_models, settings.max_body_bytes, finite=settings.finite
        )
        self.routers: tuple[APIRouter, ...] = (
            infer.router(self._infer, shown),
            predict.router(catalog, self._batcher, shown, settings.max_body_bytes, finite=settings.finite),
            images.router(catalog, self._batcher, observed_models, settings.max_body_bytes, settings.max_image_pixels),
        )

    def in_front_of(self, app: ASGIApp) -> Application:
        """Answer inference requests before an application does, and give every request what all have.

        That is outside of the framework: its own layers cost as much as a small model.
        """
        context = self.with_context(FastPath(app, self._infer))
        return Application(context, Direct(self._infer, context, self._collector))

    def with_context(self, app: ASGIApp) -> RequestContext:
        """Give every request of an application its id, its line in the log and its count."""
        write = request_logger(self._settings.log_level, self._settings.log_format)
        return RequestContext(app, self._statistics, write)

    def close(self) -> None:
        """Wait for what runs, refuse what comes."""
        self._batcher.close()
        self._shadow.close()
        if self._observer is not None:
            self._observer.close()

    def _answered(self, served: ServedVersion, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        if self._observer is not None and not self._observer.busy:
            self._observer.offer(served, inputs)
        self._shadow.offer(served, inputs, outputs)
        if self._collector.targets and (scope := current_scope.get(None)) is not None:
            self._collector.offer(served, inputs, self._guard.authenticate(scope["headers"], client_address(scope)))
