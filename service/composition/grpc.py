"""gRPC, where it is asked for."""

from contextlib import AbstractAsyncContextManager, nullcontext

from service.access import Guard
from service.catalog.catalog import Catalog
from service.composition.predictions import Predictions
from service.host.lifecycle import Lifecycle
from service.inference.limits import Limits
from service.replicas.agreement import Agreement
from service.settings import ConfigurationError, Settings
from service.telemetry.statistics import Gather


def serving_grpc(
    settings: Settings,
    lifecycle: Lifecycle,
    predictions: Predictions,
    catalog: Catalog,
    guard: Guard,
    limits: Limits,
    agreement: Agreement,
    gather: Gather,
) -> AbstractAsyncContextManager[None]:
    """Serves gRPC, where a port is set.

    Args:
        settings, lifecycle, predictions, catalog, guard, limits: of this process.
        agreement: of the replicas, on what is served.
        gather: returns the statistics of the replicas that share this one's port.

    Raises:
        ConfigurationError: gRPC is not installed.
    """
    if settings.grpc_port is None:
        return nullcontext()
    try:
        from service.grpc.build import build_server  # noqa: PLC0415 - slow to import, and an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"grpc_port: {error.name} is not installed: pip install 'denge[grpc]'") from error
    return build_server(
        settings,
        lifecycle,
        guard,
        predictions.context.recorder,
        predictions.bodies,
        predictions.handler,
        catalog,
        limits,
        agreement,
        gather,
        predictions.tracing,
    ).serving()
