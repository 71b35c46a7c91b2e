"""Builds the parts that serve gRPC."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

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
from service.replicas.agreement import Agreement
from service.settings import Settings
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import Gather

if TYPE_CHECKING:
    from service.http.tracing import Tracing


def build_server(
    settings: Settings,
    lifecycle: Lifecycle,
    guard: Guard,
    recorder: RequestRecorder,
    bodies: MemoryBudget,
    handler: Handler,
    catalog: Catalog,
    limits: Limits,
    agreement: Agreement,
    gather: Gather,
    tracing: "Tracing | None",
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
        agreement: of the replicas on what is served.
        gather: returns the statistics of the replicas that share this one's port.
        tracing: None where calls are not traced.
    """
    assert settings.grpc_port is not None  # noqa: S101
    make_calls = Calls if tracing is None else _traced_calls(tracing)
    return GrpcServer(
        service.build(
            make_calls(guard, recorder, bodies, settings.body_seconds),
            Predictions(handler),
            Models(catalog, lifecycle, limits, gather),
            Repository(catalog, BlockingPool("grpc-repository", 4, settings.change_seconds), agreement),
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


def _traced_calls(tracing: "Tracing") -> Callable[[Guard, RequestRecorder, MemoryBudget, float], Calls]:
    from service.grpc.tracing import TracedCalls  # noqa: PLC0415 - needs an extra

    return partial(TracedCalls, tracing.tracer)
