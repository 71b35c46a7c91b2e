"""Engines, opened from bundles."""

from collections.abc import Callable, Sequence

import structlog

from models.drift.version_fit import first_layers
from models.errors import DengeError, ProviderUnavailable
from models.manifest import Manifest
from models.memory import release_freed
from models.observation import mean_output, square_output, variance_output
from models.parity.changes import AnswerChanges
from models.repository import held_out
from models.repository.bundle import ServedBundle
from models.repository.repository import Repository
from models.runtime.engine import Engine
from models.runtime.providers import Precision
from models.runtime.run_sizes import buckets, in_all_sizes
from models.runtime.shared_graph import SharedGraph
from models.stored_graph import SerializedGraph
from service.catalog.half_precision import to_half
from service.catalog.served_version import ServedVersion
from service.composition.shared_weights import is_worth_sharing, share_weights
from service.inference.domains import MAX_CHOSEN_ROWS
from service.inference.limits import Limits
from service.settings import Settings
from service.watching.observed_model import ObservedModel
from service.watching.observer import MAX_OBSERVED_ROWS
from service.watching.twin import Twin
from service.watching.twin_making import TwinMaker
from service.wire.graph_part import keep_outputs

log = structlog.get_logger()

MIN_AGREEMENT = 0.99
"""Of the classes, where a GPU computes with less than float32: rounding moves rows that are between two of them."""


def engine_opener(settings: Settings, limits: Limits) -> Callable[[ServedBundle], Engine]:
    """Returns a function that opens the engine of a bundle, which runs its folded graph."""

    def open_engine(bundle: ServedBundle) -> Engine:
        manifest = bundle.manifest
        sizes = _warm_up_sizes(settings, manifest, limits.for_model(manifest.batching).max_batch_rows)

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
            try:
                return _open_rounded(bundle, settings.precision, open_graph, sizes)
            except ProviderUnavailable:
                raise
            except DengeError as error:
                log.warning("precision_refused", model=manifest.model, precision=settings.precision, reason=str(error))
        return open_graph(bundle.folded, "float32")

    return open_engine


def _open_rounded(
    bundle: ServedBundle, precision: Precision, open_graph: Callable[..., Engine], sizes: Sequence[int]
) -> Engine:
    """The engine of a bundle in less than float32, if it gives the answers of the one in float32, in runs of all sizes.

    Raises:
        ParityError: it gives others.
        DengeError: the graph cannot be converted, or cannot be run on the rows for the comparison.
    """
    rounded = open_graph(to_half(bundle.folded) if precision == "float16" else bundle.folded, precision)
    exact = open_graph(bundle.folded, "float32", ())
    rows = None if bundle.held_out is None else held_out.unpack(bundle.held_out, bundle.manifest.inputs)
    changes = AnswerChanges.between(exact.run, in_all_sizes(rounded.run, sizes), bundle.manifest, rows)
    exact.release()
    changes.validate(MIN_AGREEMENT)
    return rounded


def observed_model_opener(
    settings: Settings, repository: Repository
) -> Callable[[ServedVersion], ObservedModel | None]:
    """Returns a function that opens the observed graph of a version; None where its bundle has none."""

    def open_observed_model(served: ServedVersion) -> ObservedModel | None:
        bundle = repository.read_served(served.model, served.version)
        if bundle.observed is None:
            return None
        shares = settings.provider == "cpu" and is_worth_sharing(bundle.observed)
        graph = share_weights(served.engine, bundle.folded, bundle.observed) if shares else bundle.observed
        return _open_observed(settings, served, graph, MAX_OBSERVED_ROWS)

    return open_observed_model


def first_layers_opener(settings: Settings, repository: Repository) -> Callable[[ServedVersion], ObservedModel | None]:
    """Returns a function that opens what of a version's observed graph domains are chosen by; None where it has none.

    That is the part up to the first layers, which for most networks is short.
    """

    def open_first_layers(served: ServedVersion) -> ObservedModel | None:
        observed = repository.read_served(served.model, served.version).observed
        if observed is None:
            return None
        names = [layer.name for layer in first_layers(served.manifest)]
        outputs = {of(name) for name in names for of in (mean_output, square_output, variance_output)}
        return _open_observed(settings, served, keep_outputs(observed, outputs), MAX_CHOSEN_ROWS)

    return open_first_layers


def twin_opener(settings: Settings, repository: Repository, maker: TwinMaker) -> Callable[[ServedVersion], Twin | None]:
    """Returns a function that makes the twin of a version; None where no accuracy can be estimated by it.

    It runs on the CPU, since a block has no other size and a device would fill it up with zeros. A re-calibrated
    version has the twin of the version that it was made from: the weights are the same, and held-out rows are usual for
    that one only.
    """

    def open_twin(served: ServedVersion) -> Twin | None:
        made = maker.make(repository.read(served.model, repository.trained_version(served.model, served.version)))
        release_freed()
        if made is None:
            return None
        engine = Engine(
            made.graph, served.manifest.inputs, threads=1, run_seconds=settings.run_seconds, keep_memory=False
        )
        output = served.manifest.outputs[0].name
        return Twin(made.estimator, lambda inputs: engine.run(inputs)[output], served.manifest.scores)

    return open_twin


def _open_observed(
    settings: Settings, served: ServedVersion, observed: SerializedGraph | SharedGraph, max_rows: int
) -> ObservedModel:
    sizes = _warm_up_sizes(settings, served.manifest, max_rows)
    engine = Engine(
        observed,
        served.manifest.inputs,
        settings.provider,
        1,
        sizes,
        run_seconds=settings.run_seconds,
        keep_memory=False,
    )
    release_freed()
    return ObservedModel(served, engine)


def _warm_up_sizes(settings: Settings, manifest: Manifest, max_rows: int) -> tuple[int, ...]:
    """Batch sizes to warm up: a GPU chooses its kernels by shape, which takes long when a shape is new."""
    return buckets(max_rows) if settings.provider == "cuda" and manifest.is_batchable else ()
