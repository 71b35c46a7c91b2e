"""What observes the served versions: engines of observed graphs, and twins, opened from bundles."""

from collections.abc import Callable

from models.drift.version_fit import first_layers
from models.memory import release_freed
from models.observation import mean_output, square_output, variance_output
from models.repository.repository import Repository
from models.runtime.engine import Engine
from models.runtime.shared_graph import SharedGraph
from models.stored_graph import SerializedGraph
from service.catalog.served_version import ServedVersion
from service.composition.engines import warm_up_sizes
from service.composition.shared_weights import is_worth_sharing, share_weights
from service.host.memory import reusing_all_freed
from service.inference.domains import MAX_CHOSEN_ROWS
from service.settings import Settings
from service.watching.observed_model import ObservedModel
from service.watching.observer import MAX_OBSERVED_ROWS
from service.watching.twins.twin import Twin
from service.watching.twins.twin_making import TwinMaker
from service.watching.twins.twin_messages import MadeTwin
from service.wire.graph_part import keep_outputs


def observed_model_opener(
    settings: Settings, repository: Repository
) -> Callable[[ServedVersion], ObservedModel | None]:
    """Returns a function that opens the observed graph of a version; None where its bundle has none."""

    def open_observed_model(served: ServedVersion) -> ObservedModel | None:
        with reusing_all_freed():
            graph = _read_observed(settings, repository, served)
            return None if graph is None else _open_observed(settings, served, graph, MAX_OBSERVED_ROWS)

    return open_observed_model


def first_layers_opener(settings: Settings, repository: Repository) -> Callable[[ServedVersion], ObservedModel | None]:
    """Returns a function that opens what of a version's observed graph domains are chosen by; None where it has none.

    That is the part up to the first layers, which for most networks is short.
    """

    def open_first_layers(served: ServedVersion) -> ObservedModel | None:
        with reusing_all_freed():
            graph = _read_first_layers(repository, served)
            return None if graph is None else _open_observed(settings, served, graph, MAX_CHOSEN_ROWS)

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
        return None if made is None else _open_twin(settings, served, made)

    return open_twin


def _read_observed(
    settings: Settings, repository: Repository, served: ServedVersion
) -> SerializedGraph | SharedGraph | None:
    bundle = repository.read_served(served.model, served.version)
    if bundle.observed is not None and settings.provider == "cpu" and is_worth_sharing(bundle.observed):
        return share_weights(served.engine, bundle.folded, bundle.observed)
    return bundle.observed


def _read_first_layers(repository: Repository, served: ServedVersion) -> SerializedGraph | None:
    observed = repository.read_served(served.model, served.version).observed
    names = [layer.name for layer in first_layers(served.manifest)]
    outputs = {of(name) for name in names for of in (mean_output, square_output, variance_output)}
    return None if observed is None else keep_outputs(observed, outputs)


def _open_observed(
    settings: Settings, served: ServedVersion, observed: SerializedGraph | SharedGraph, max_rows: int
) -> ObservedModel:
    sizes = warm_up_sizes(settings, served.manifest, max_rows)
    engine = Engine(
        observed,
        served.manifest.inputs,
        settings.provider,
        1,
        sizes,
        run_seconds=settings.run_seconds,
        keep_memory=False,
    )
    return ObservedModel(served, engine)


def _open_twin(settings: Settings, served: ServedVersion, made: MadeTwin) -> Twin:
    engine = Engine(made.graph, served.manifest.inputs, threads=1, run_seconds=settings.run_seconds, keep_memory=False)
    output = served.manifest.outputs[0].name
    return Twin(made.estimator, lambda inputs: engine.run(inputs)[output], served.manifest.scores)
