"""Engines, opened from bundles."""

from collections.abc import Callable, Sequence

import structlog

from models.errors import DengeError, ProviderUnavailable
from models.manifest import Manifest
from models.repository.bundle import ServedBundle
from models.runtime.engine import Engine
from models.runtime.providers import Precision
from models.runtime.run_sizes import buckets
from models.stored_graph import SerializedGraph
from service.composition.quick_engines import QuickEngines
from service.inference.limits import Limits
from service.settings import Settings

log = structlog.get_logger()


def engine_opener(
    settings: Settings, limits: Limits, quick_engines: QuickEngines | None = None
) -> Callable[[ServedBundle], Engine]:
    """Returns a function that opens the engine of a bundle, which runs its folded graph."""

    def open_engine(bundle: ServedBundle) -> Engine:
        manifest = bundle.manifest
        if quick_engines is not None and (engine := quick_engines.open(bundle.folded, manifest)) is not None:
            return engine
        sizes = warm_up_sizes(settings, manifest, limits.for_model(manifest.batching).max_batch_rows)

        def open_graph(graph: SerializedGraph, precision: Precision, sizes: Sequence[int] = sizes) -> Engine:
            return Engine(
                graph,
                manifest.inputs,
                settings.provider,
                settings.threads,
                sizes,
                run_seconds=settings.run_seconds,
                batched=manifest.is_batchable,
                precision=precision,
            )

        if settings.precision != "float32":
            from service.composition.rounded_engines import open_rounded  # noqa: PLC0415 - few services need it

            try:
                return open_rounded(bundle, settings.precision, open_graph, sizes)
            except ProviderUnavailable:
                raise
            except DengeError as error:
                log.warning("precision_refused", model=manifest.model, precision=settings.precision, reason=str(error))
        return open_graph(bundle.folded, "float32")

    return open_engine


def warm_up_sizes(settings: Settings, manifest: Manifest, max_rows: int) -> tuple[int, ...]:
    """Batch sizes to warm up: a GPU chooses its kernels by shape, which takes long when a shape is new."""
    return buckets(max_rows) if settings.provider == "cuda" and manifest.is_batchable else ()
