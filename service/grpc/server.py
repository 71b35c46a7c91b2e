"""How a process serves gRPC: on the event loop of HTTP, beside it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_reflection.v1alpha import reflection, reflection_pb2

from service.grpc import health, messages
from service.grpc.service import Service
from service.host.lifecycle import Lifecycle
from service.host.sockets import describe

log = structlog.get_logger()

MAX_CALLS = 1024
"""Calls at the same time, streams among them. More are refused with RESOURCE_EXHAUSTED."""

_OPTIONS = (
    ("grpc.max_concurrent_streams", 256),  # of one connection; further calls wait at the client
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 60_000),  # a connection without a sign of life for so long is tried
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients may try as often
    ("grpc.server_handshake_timeout_ms", 10_000),
)

messages.pool.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)


class GrpcServer:
    """A port that speaks gRPC.

    Args:
        service: answers the calls.
        lifecycle: of the process.
        hosts: IP addresses to listen on. gRPC listens on IPv4 and IPv6 where one of them is that of all interfaces.
        port: of all addresses; 0 chooses a free one.
        credentials: None where the port does not speak TLS.
        max_message_bytes: larger messages are refused with RESOURCE_EXHAUSTED, before and after inflating.
        idle_seconds: how long a connection without calls stays open.
        drain_seconds: how long calls may take to finish once the port has closed.
        shares_port: whether other processes listen on the same port.
    """

    def __init__(
        self,
        service: Service,
        lifecycle: Lifecycle,
        *,
        hosts: Sequence[str],
        port: int,
        credentials: grpc.ServerCredentials | None = None,
        max_message_bytes: int,
        idle_seconds: int,
        drain_seconds: float,
        shares_port: bool = False,
    ) -> None:
        self._service = service
        self._lifecycle = lifecycle
        self._hosts = ["::"] if "::" in hosts else hosts
        self._port = port
        self._credentials = credentials
        self._drain_seconds = drain_seconds
        self._options = (
            *_OPTIONS,
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_connection_idle_ms", idle_seconds * 1000),
            ("grpc.so_reuseport", int(shares_port)),
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the block is left, or the service drains; and then until the calls in flight are answered.

        Raises:
            OSError: the port cannot be used.
        """
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=MAX_CALLS)
        server.add_generic_rpc_handlers((self._service,))
        names = (messages.SERVICE, health.SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server, pool=messages.pool)
        port = self._port
        for host in self._hosts:
            port = self._bind(server, host, port)
        await server.start()
        self._lifecycle.addresses["gRPC"] = describe(self._hosts[0], port)
        drained: list[asyncio.Task[None]] = []
        self._lifecycle.on_drain(lambda: drained.append(asyncio.ensure_future(server.stop(self._drain_seconds))))
        try:
            yield
        finally:
            await (drained[0] if drained else server.stop(self._drain_seconds))

    def _bind(self, server: grpc.aio.Server, host: str, port: int) -> int:
        address = describe(host, port)
        try:
            if self._credentials is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise OSError(f"grpc_port: cannot listen on {address}, which another process may use") from error
