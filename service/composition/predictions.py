"""The parts that answer predictions."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from models.datatypes import Array
from service.access import Guard
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.composition.tracing import open_tracing
from service.host import memory
from service.host.codec_pool import CodecPool
from service.host.memory_budget import MemoryBudget
from service.http.context import RequestContext
from service.http.cors import allow_origins
from service.http.framework import Framework
from service.http.health import HealthChecks
from service.http.lifespan import Running
from service.http.limits import ConnectionLimits
from service.http.predictions import Application, PlainPredictions
from service.http.proxies import Proxies
from service.inference import v1
from service.inference.batcher import Batcher
from service.inference.dialect import Dialect
from service.inference.domains import DomainRouter
from service.inference.generated import Generated
from service.inference.handler import Handler
from service.inference.labelled import Labelled
from service.inference.limits import Limits
from service.inference.queue import Outputs
from service.inference.scoring import Scorer
from service.inference.shadow import Shadow
from service.inference.v1 import V1
from service.inference.v2 import V2
from service.inference.v2_grpc import V2Grpc
from service.recalibrating.collector import RowCollector
from service.settings import Settings
from service.telemetry.request_log import request_logger
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics
from service.watching.budget import HEAD_START_SECONDS, Budget
from service.watching.labels.answered_requests import AnsweredRequests
from service.watching.observed_models import ObservedModels
from service.watching.observer import Observer

if TYPE_CHECKING:
    from service.http.tracing import Tracing
    from service.watching.batch_observer import BatchObserver
    from service.watching.observed_model import ObservedModel

MAX_CODEC_THREADS = 4
"""More would keep the event loop waiting for too long, since Python runs one of them at a time."""


class ObservingParts(Protocol):
    """What observes rows; `service.composition.late_parts` has it."""

    @property
    def batch_observer(self) -> "BatchObserver":
        """Observes rows of the served batches."""

    def open_observed_model(self, served: ServedVersion, /) -> "ObservedModel | None":
        """Open the observed graph of a version."""

    def open_first_layers(self, served: ServedVersion, /) -> "ObservedModel | None":
        """Open what of it domains are chosen by."""


class Predictions(NamedTuple):
    """The parts of a replica that answer predictions."""

    handler: Handler
    observed_models: ObservedModels
    context: RequestContext
    limits: ConnectionLimits
    bodies: MemoryBudget
    origins: Sequence[str]
    tracing: "Tracing | None"
    codec_pool: CodecPool
    closers: tuple[Callable[[], None], ...]

    def application(
        self,
        framework: Framework,
        running: Running,
        check_readiness: Callable[[], Sequence[str]],
        proxies: Proxies,
        optimize: Callable[[], None],
    ) -> Application:
        """The application that answers plain predictions itself, and leaves everything else to the framework's.

        Args:
            framework: has the routes.
            running: the context from the start to the stop.
            check_readiness: returns warnings; raises `NotReady` where the service accepts no requests.
            proxies: in front of the service.
            optimize: optimises what was loaded quickly.
        """
        make = PlainPredictions if self.tracing is None else self.tracing.plain_predictions
        health = HealthChecks(self.context, check_readiness)
        plain = make(self.handler, self.context, health, has_origins=bool(self.origins))
        whole = self.context.around(allow_origins(framework, self.origins))
        return Application(whole, framework, running, self.context, plain, self.limits, self.bodies, proxies, optimize)

    def close(self) -> None:
        """Wait for what runs, and refuse what comes."""
        for close in self.closers:
            close()


def build_predictions(
    settings: Settings,
    limits: Limits,
    catalog: Catalog,
    guard: Guard,
    statistics: ServiceStatistics,
    late: "Callable[[], ObservingParts]",
    collector: RowCollector,
    answered: AnsweredRequests,
) -> Predictions:
    """Builds the parts that answer predictions, and those that see their results.

    Args:
        settings, limits, catalog, guard, statistics: of this process.
        late: returns what observes rows. It is called in threads, where it may have to be assembled.
        collector: of rows for re-calibrations; every result is offered to it.
        answered: remembers requests for their labels.

    Raises:
        ConfigurationError: traces are asked for, and OpenTelemetry is not installed.
    """
    memory.keep_freed()
    memory.share_freed()
    observed_models = ObservedModels(lambda served: late().open_observed_model(served))
    shadow = Shadow(catalog, statistics)
    observer: Observer | None = None
    scorer = Scorer(observed_models)
    first_layers = ObservedModels(lambda served: late().open_first_layers(served))
    router = DomainRouter(first_layers, statistics, limits.max_pending)
    closers = [shadow.close, scorer.close, router.close]
    if settings.watch_percent:
        budget = Budget(settings.watch_percent, HEAD_START_SECONDS)
        observer = Observer(lambda: late().batch_observer, budget, statistics)
        closers.append(observer.close)

    def on_result(served: ServedVersion, inputs: Mapping[str, Array], outputs: Outputs, client: str) -> None:
        if observer is not None:
            observer.offer(served, inputs)
        shadow.offer(served, inputs, outputs)
        if collector.targets:
            collector.offer(served, inputs, client)

    tracing = open_tracing(settings)
    batcher = (
        Batcher(statistics, limits, on_result) if tracing is None else tracing.batcher(statistics, limits, on_result)
    )
    dialects: dict[str, Dialect] = {
        "v2": V2(finite=settings.finite, max_pixels=settings.max_image_pixels),
        "v1": V1(finite=settings.finite, max_pixels=settings.max_image_pixels),
        "grpc": V2Grpc(finite=settings.finite, max_pixels=settings.max_image_pixels),
        "classify": v1.Examples("classify", finite=settings.finite),
        "regress": v1.Examples("regress", finite=settings.finite),
        "labelled": Labelled(max_pixels=settings.max_image_pixels),
        "generated": Generated(max_pixels=settings.max_image_pixels),
    }
    write = request_logger(settings.log_level, settings.log_format)
    context = RequestContext(RequestRecorder(statistics, write))
    if tracing is not None:
        dialects = tracing.dialects(dialects)
        context = tracing.context(statistics, write)
        closers.append(tracing.close)
    codec_pool = CodecPool(min(settings.concurrency, MAX_CODEC_THREADS), settings.codec_bytes, settings.max_pending)
    handler = Handler(catalog, batcher, guard, scorer, router, dialects, codec_pool, answered.add)
    return Predictions(
        handler,
        observed_models,
        context,
        ConnectionLimits(settings.head_seconds, settings.body_seconds, settings.write_seconds, settings.max_body_bytes),
        MemoryBudget(settings.max_bodies_bytes, memory.release_freed_soon),
        settings.allowed_origins,
        tracing,
        codec_pool,
        (batcher.close, *closers, codec_pool.close),
    )
