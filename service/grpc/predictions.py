"""ModelInfer and ModelStreamInfer: the handler's answers and errors as messages."""

from collections.abc import AsyncIterator

import structlog

from service.grpc.calls import Client, Context
from service.grpc.errors import failure
from service.inference.dialect import Call
from service.inference.handler import Handler
from service.telemetry.requests import MAX_ERROR_LENGTH
from service.wire import grpc_request, grpc_response

log = structlog.get_logger()

DIALECT = "grpc"
"""Name of the dialect of these messages."""


class Predictions:
    """Answers predictions.

    A call that its client cancels, or whose deadline passes, is cancelled by gRPC, and so leaves the queue.

    Args:
        handler: answers them.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def infer(self, client: Client, message: bytes) -> bytes:
        """Answer one request.

        Raises:
            DengeError: as the handler.
        """
        head = grpc_request.read_head(message)
        admitted = self._handler.admit(Call(DIALECT, head.model, head.version, client.headers, client.address))
        request = self._handler.decode(admitted, message)
        answer = await self._handler.run(request, None)
        return answer.body

    async def infer_stream(self, client: Client, context: Context) -> AsyncIterator[bytes]:
        """Answer each request, in their order. An error is the answer to its request, and the stream goes on."""
        while isinstance(message := await context.read(), bytes):
            try:
                yield grpc_response.in_stream(await self.infer(client, message))
            except Exception as error:  # noqa: BLE001 - whatever it was, the client is told
                refusal = failure(error).message
                log.info("request_refused_in_stream", error=refusal[:MAX_ERROR_LENGTH])
                yield grpc_response.error_in_stream(refusal, grpc_request.read_id(message))
