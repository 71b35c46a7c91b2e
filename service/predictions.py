"""What answers predictions: part of the one process that serves, or all that a worker has."""

from collections.abc import Callable

from fastapi import APIRouter
from starlette.types import ASGIApp

from models.bundle import Bundle
from service.access import Guard
from service.batcher import Batcher
from service.catalog import Catalog
from service.direct import Application, Direct
from service.engine import Engine, buckets
from service.examples import Examples
from service.fast_path import FastPath
from service.logs import request_logger
from service.requests import RequestContext
from service.routes import images, infer, predict
from service.settings import Settings
from service.shadow import Shadow
from service.statistics import Statistics


def engine_starter(settings: Settings) -> Callable[[Bundle], Engine]:
    """What makes the engine of a bundle."""

    def start(bundle: Bundle) -> Engine:
        manifest = bundle.manifest
        # A device chooses its kernels by shape, which takes long when a shape is new.
        met = settings.provider == "cuda" and manifest.batchable
        sizes = buckets(settings.limits.of(manifest.batching).max_batch_rows) if met else ()
        return Engine(bundle.folded, manifest.inputs, settings.provider, settings.threads, sizes)

    return start


class Predictions:
    """Runs the models of a catalog for callers.

    Args:
        settings: all that can be set.
        catalog: the models.
        guard: knows who may predict.
        statistics: where requests and runs are counted.
        shown: what the docs page shows.

    Attributes:
        routers: the routes of predictions.
    """

    def __init__(
        self, settings: Settings, catalog: Catalog, guard: Guard, statistics: Statistics, shown: Examples
    ) -> None:
        self._settings = settings
        self._statistics = statistics
        self._shadow = Shadow(catalog, statistics)
        self._batcher = Batcher(statistics, settings.limits, self._shadow.offer)
        self._infer = infer.Infer(catalog, self._batcher, guard, settings.max_body_bytes, finite=settings.finite)
        self.routers: tuple[APIRouter, ...] = (
            infer.router(self._infer, shown),
            predict.router(catalog, self._batcher, shown, settings.max_body_bytes, finite=settings.finite),
            images.router(catalog, self._batcher, settings.max_body_bytes, settings.max_image_pixels),
        )

    def in_front_of(self, app: ASGIApp) -> Application:
        """Answer inference requests before an application does, and give every request what all have.

        That is outside of the framework: its own layers cost as much as a small model.
        """
        context = self.with_context(FastPath(app, self._infer))
        return Application(context, Direct(self._infer, context))

    def with_context(self, app: ASGIApp) -> RequestContext:
        """Give every request of an application its id, its line in the log and its count."""
        write = request_logger(self._settings.log_level, self._settings.log_format)
        return RequestContext(app, self._statistics, write)

    def close(self) -> None:
        """Wait for what runs, refuse what comes."""
        self._batcher.close()
        self._shadow.close()
