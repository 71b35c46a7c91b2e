"""Around every call: who makes it, its id, its record, and a status whatever happens inside."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from time import perf_counter
from typing import TypeAlias
from urllib.parse import unquote

import grpc
from grpc.aio import ServicerContext

from models.errors import ClientDisconnected, InvalidInput, NotSupported, Overloaded
from service.access import Guard
from service.errors import public_error
from service.grpc.errors import failure
from service.host.memory_budget import MemoryBudget, Reservation
from service.http.context import REQUEST_ID, choose_request_id
from service.inference.dialect import Headers
from service.telemetry import logs
from service.telemetry.requests import GRPC, RequestRecorder
from service.wire.pieces import LARGE_BYTES

_ONCE = (b"authorization", b"origin")
"""Metadata that no call may have twice: which one counts would be left to chance."""

_OK = 200
_CANCELLED = public_error(ClientDisconnected("the call was cancelled: by its client, or as the service stops"))
_REQUEST_ID = REQUEST_ID.decode()

Context = ServicerContext[bytes, bytes]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


class Access(Enum):
    """What a method requires of its client."""

    PUBLIC = "anyone"
    PREDICT = "clients with an API key, or anyone if no keys are set"
    ADMIN = "clients with the admin token"


class Client:
    """Who makes a call.

    Attributes:
        headers: metadata of the call by lower-case name.
        address: network address; empty on a unix socket.
        repeated: name of metadata that the call has twice, and may have once; None where there is none.
    """

    __slots__ = ("address", "headers", "repeated")

    def __init__(self, context: Context) -> None:
        metadata = [
            (name.encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in context.invocation_metadata() or ()
        ]
        self.headers: Headers = dict(metadata)
        self.address = parse_peer(context.peer())
        self.repeated: str | None = None
        if len(self.headers) < len(metadata):
            names = [name for name, _ in metadata]
            self.repeated = next((name.decode() for name in _ONCE if names.count(name) > 1), None)


Respond = Callable[[Client, bytes], Awaitable[bytes]]
"""Answers a message of a unary call."""

RespondInStream = Callable[[Client, Context], AsyncIterator[bytes]]
"""Answers the messages of a stream."""


class Calls:
    """Makes handlers of gRPC from functions that answer messages.

    Args:
        guard: checks the tokens of clients.
        recorder: records the calls.
        bodies: memory for the messages of calls that are answered, and for the bodies of HTTP.
        body_seconds: until the message of a unary call is there.
    """

    def __init__(self, guard: Guard, recorder: RequestRecorder, bodies: MemoryBudget, body_seconds: float) -> None:
        self._guard = guard
        self._recorder = recorder
        self._bodies = bodies
        self._body_seconds = body_seconds

    def unary(self, path: str, access: Access, respond: Respond) -> MethodHandler:
        """The handler of a method with one message and one answer.

        To gRPC it is a stream of messages, so that a client is refused before its message is read.
        """

        async def call(_messages: object, context: Context) -> bytes:
            async def answer(client: Client) -> bytes:
                message = await self._read(context)
                if len(message) <= LARGE_BYTES:  # larger ones count against the client's share of memory
                    return await respond(client, message)
                held = Reservation(self._bodies)
                if not held.grow(self._guard.identify(client.headers.items(), client.address), len(message)):
                    raise Overloaded("too many large messages are being answered: try again later")
                try:
                    return await respond(client, message)
                finally:
                    held.release()

            return await self.run(path, access, context, answer)

        return grpc.stream_unary_rpc_method_handler(call)

    def stream(self, path: str, access: Access, respond: RespondInStream) -> MethodHandler:
        """The handler of a method with many messages and answers."""

        async def call(_messages: object, context: Context) -> None:
            async def answer(client: Client) -> bytes:
                async for response in respond(client, context):
                    await context.write(response)
                return b""

            await self.run(path, access, context, answer)

        return grpc.stream_stream_rpc_method_handler(call)

    async def run(
        self, path: str, access: Access, context: Context, answer: Callable[[Client], Awaitable[bytes]]
    ) -> bytes:
        """Answer one call."""
        start = perf_counter()
        client = Client(context)
        request_id = choose_request_id(client.headers)
        token = logs.request_id.set(request_id)
        identity = (_REQUEST_ID, request_id)
        status = _OK
        error = ""
        try:
            self._authorise(access, client)
            response = await answer(client)
        except asyncio.CancelledError:
            status, error = _CANCELLED.status, _CANCELLED.message
            raise
        except Exception as cause:
            failed = failure(cause)
            status, error = failed.status, failed.message
            await context.abort(failed.code, failed.message, (identity, *failed.metadata))
            raise AssertionError from cause  # `abort` raises
        else:
            context.set_trailing_metadata((identity,))
            return response
        finally:
            seconds = perf_counter() - start
            self._recorder.record(path, GRPC, path, status, request_id, seconds, client.address, error)
            logs.request_id.reset(token)

    async def _read(self, context: Context) -> bytes:
        try:
            async with asyncio.timeout(self._body_seconds):
                message = await context.read()
        except TimeoutError:
            raise InvalidInput(f"did not arrive within {self._body_seconds:g} seconds", "body") from None
        if not isinstance(message, bytes):  # the end of the messages
            raise InvalidInput("the call ends without a message", "body")
        return message

    def _authorise(self, access: Access, client: Client) -> None:
        if client.repeated is not None:
            raise InvalidInput("got it twice, expected it once", client.repeated)
        if access is Access.PREDICT:
            self._guard.authenticate(client.headers.items(), client.address)
        elif access is Access.ADMIN:
            # A page in a browser cannot make gRPC calls, so no name is checked that it could be reached by.
            self._guard.require_admin([*client.headers.items(), (b"host", b"localhost")])


def not_served(sentence: str) -> Respond:
    """Answers every message with UNIMPLEMENTED."""

    async def respond(_client: Client, _message: bytes) -> bytes:
        raise NotSupported(sentence)

    return respond


def parse_peer(peer: str) -> str:
    """The network address in what gRPC says of a peer, such as `ipv4:127.0.0.1:4321`; empty on a unix socket."""
    family, _, address = peer.partition(":")
    if family not in {"ipv4", "ipv6"}:
        return ""
    return unquote(address.rpartition(":")[0]).strip("[]")
