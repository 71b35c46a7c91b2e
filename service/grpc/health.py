"""grpc.health.v1: the health of the service, and of each model by its name.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from models.errors import InvalidInput, NotFound, Overloaded
from service.grpc import messages
from service.grpc.calls import Client, Context
from service.grpc.models import Models

SERVICE = "grpc.health.v1.Health"
WATCH_SECONDS = 1.0
"""How often a watched service is looked at."""
MAX_WATCHERS = 256
"""Calls that watch, of all that are answered at the same time: they need no key, and may last for ever."""

_Response = health_pb2.HealthCheckResponse

messages.pool.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)


class Health:
    """Answers health checks. Empty, or the name of a gRPC service of this server, is the whole service.

    Args:
        models: know whether the service and its models are ready.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._watchers = 0

    async def check(self, _client: Client, message: bytes) -> bytes:
        """Check.

        Raises:
            NotFound: there is no such service or model.
        """
        return _encode(self._status(_service(message)))

    async def watch(self, _client: Client, context: Context) -> AsyncIterator[bytes]:
        """Watch: the status now, and each that it changes to.

        Raises:
            Overloaded: as many watch as may.
        """
        if self._watchers >= MAX_WATCHERS:
            raise Overloaded(f"{MAX_WATCHERS} calls watch already: call Check, or try again later")
        self._watchers += 1
        try:
            service = _service(await context.read())
            last = None
            while True:
                status = self._watched_status(service)
                if status != last:
                    yield _encode(status)
                    last = status
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._watchers -= 1

    def _watched_status(self, service: str) -> int:
        try:
            return self._status(service)
        except NotFound:
            return int(_Response.SERVICE_UNKNOWN)

    def _status(self, service: str) -> int:
        if service in {"", SERVICE, messages.SERVICE}:
            ready = self._models.is_ready
        else:
            ready = self._models.is_model_ready(service)
        return int(_Response.SERVING if ready else _Response.NOT_SERVING)


def _service(message: bytes) -> str:
    if not isinstance(message, bytes) or len(message) > messages.MAX_BYTES:
        raise InvalidInput("expected one message grpc.health.v1.HealthCheckRequest", "body")
    try:
        return str(health_pb2.HealthCheckRequest.FromString(message).service)
    except DecodeError as error:
        raise InvalidInput(f"expected a message grpc.health.v1.HealthCheckRequest: {error}", "body") from None


def _encode(status: int) -> bytes:
    return bytes(_Response(status=status).SerializeToString())
