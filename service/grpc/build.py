"""Builds the parts that serve gRPC."""

from service.access import Guard
from service.catalog.catalog import Catalog
from service.grpc import service
from service.grpc.calls import Calls
from service.grpc.models import Models
from service.grpc.predictions import Predictions
from service.grpc.repository import Repository
from service.grpc.server import GrpcServer
from service.grpc.tls import credentials
from service.host.blocking_pool import BlockingPool
from service.host.lifecycle import Lifecycle
from service.host.memory_budget import MemoryBudget
from service.host.sockets import resolve
from service.inference.handler import Handler
from service.inference.limits import Limits
from service.settings import Settings
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import Gather, ServiceStatistics

ONLY_BY_HTTP = ("ModelStatistics", "RepositoryModelLoad", "RepositoryModelUnload")
"""Methods that a worker does not answer, since it knows of itself alone."""


def build_server(
    settings: Settings,
    lifecycle: Lifecycle,
    guard: Guard,
    recorder: RequestRecorder,
    bodies: MemoryBudget,
    handler: Handler,
    catalog: Catalog,
    limits: Limits,
    gather: Gather | None,
) -> GrpcServer:
    """The server of a process.

    Args:
        settings, lifecycle: of the process.
        guard: checks the tokens of clients.
        recorder: records the calls.
        bodies: memory for the messages of calls that are answered.
        handler: answers predictions.
        catalog: what is loaded.
        limits: of the batcher.
        gather: returns the statistics of the whole service; None in one of several workers.
    """
    assert settings.grpc_port is not None  # noqa: S101
    return GrpcServer(
        service.build(
            Calls(guard, recorder, bodies, settings.body_seconds),
            Predictions(handler),
            Models(catalog, lifecycle, limits, gather or _none),
            Repository(catalog, BlockingPool("grpc-repository", 4, settings.change_seconds)),
            ONLY_BY_HTTP if gather is None else (),
        ),
        lifecycle,
        hosts=[address.ip for address in resolve(settings.host)],
        port=settings.grpc_port,
        credentials=credentials(settings),
        max_message_bytes=settings.max_body_bytes,
        idle_seconds=settings.keep_alive_seconds,
        drain_seconds=settings.drain_seconds,
        shares_port=settings.workers > 1,
    )


async def _none() -> ServiceStatistics:
    return ServiceStatistics()
