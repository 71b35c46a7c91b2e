"""What the routes of all dialects share: from a request to the handler, and its answer to a response."""

from fastapi import Request, Response

from service.host.codec_pool import CodecPool
from service.http.predictions import respond
from service.http.scopes import client_address
from service.inference.dialect import Call
from service.inference.handler import Handler


class PredictionResponder:
    """Answers the requests of prediction routes.

    Args:
        handler: answers predictions.
        codec_pool: inflates what is large.
        max_body_bytes: larger bodies are refused.
    """

    def __init__(self, handler: Handler, codec_pool: CodecPool, max_body_bytes: int) -> None:
        self._handler = handler
        self._codec_pool = codec_pool
        self._max_body_bytes = max_body_bytes

    async def respond(
        self, dialect: str, model: str, version: int | None, request: Request, *, layer_statistics: bool = False
    ) -> Response:
        """The response to one request."""
        headers, address = dict(request.scope["headers"]), client_address(request.scope)
        call = Call(dialect, model, version, headers, address, layer_statistics)
        answer = await respond(
            self._handler, call, request.scope, request.receive, self._codec_pool, self._max_body_bytes
        )
        response = Response(answer.body)
        response.raw_headers = answer.headers
        return response
