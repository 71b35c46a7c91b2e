"""Inference requests without ASGI: from the bytes of a body to those of an answer, in one call.

For requests whose head says that they are plain, and whose run is short. They are read, answered, logged and counted by
what does it in `service.http.context` and `service.routes.infer`.
"""

from time import perf_counter
from typing import NamedTuple

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import DengeError
from service.catalog.served_version import ServedVersion
from service.errors import INTERNAL, public_error
from service.http.context import REQUEST_ID, RequestContext, request_id
from service.http.errors import error_response
from service.http.fast_path import Address, plain_address
from service.recalibrating.collector import Collector
from service.routes.infer import Headers, Infer, Prediction
from service.telemetry import logs

log = structlog.get_logger()

_NOT_PLAIN = frozenset({b"content-encoding", b"expect", b"upgrade"})
_OK = 200


class Application:
    """An ASGI application, and beside it what can be asked without ASGI. For `service.http.protocol`.

    Args:
        app: answers everything.
        direct: answers plain inference requests in the same way.
    """

    def __init__(self, app: ASGIApp, direct: "Direct") -> None:
        self._app = app
        self.direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        await self._app(scope, receive, send)


class Admitted(NamedTuple):
    """A request whose body is still to come."""

    address: Address
    headers: Headers
    served: ServedVersion
    start: float


class Answer(NamedTuple):
    """What is to be sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Direct:
    """Answers inference requests.

    Args:
        infer: what answers them.
        context: what logs and counts them.
        collector: while it takes rows, it must know who sends them, and ASGI answers.
    """

    def __init__(self, infer: Infer, context: RequestContext, collector: Collector) -> None:
        self._collector = collector
        self._infer = infer
        self._context = context
        self.max_body_bytes = infer.max_body_bytes

    def admit(self, url: bytes, headers: Headers) -> Admitted | None:
        """Whether a POST request can be answered here, as far as its head tells. None: ASGI does it, or refuses it."""
        address = plain_address(url)
        if address is None or self._collector.targets or not _NOT_PLAIN.isdisjoint(headers):
            return None
        length = headers.get(b"content-length", b"0")
        if not (length.isdigit() and int(length) <= self.max_body_bytes):
            return None
        start = perf_counter()
        try:
            served = self._infer.admit(address.model, address.version, headers)
        except DengeError:
            return None
        return Admitted(address, headers, served, start)

    def answer(self, admitted: Admitted, body: bytes) -> Answer | Prediction:
        """Answer a request.

        Returns:
            The answer; or, where the run would keep others waiting, what has been read.
        """
        address, headers, served, start = admitted
        identity = request_id(headers)
        try:
            prediction = self._infer.read(served, headers, body)
            answer = self._infer.answer_now(prediction)
            if answer is None:
                return prediction
            status, answer_headers, answer_body = _OK, *answer
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller gets an answer and the log the rest
            status, answer_headers, answer_body = _failure(error, identity)
        self._context.record(address.route, "POST", address.path, status, identity, perf_counter() - start)
        answer_headers.append((REQUEST_ID, identity.encode("ascii")))
        return Answer(status, answer_headers, answer_body)


def _failure(error: Exception, identity: str) -> Answer:
    token = logs.request_id.set(identity)
    try:
        if isinstance(error, DengeError):
            response = error_response(public_error(error))
        else:
            log.error("unexpected_error", exc_info=error)
            response = error_response(INTERNAL)
    finally:
        logs.request_id.reset(token)
    return Answer(response.status_code, response.raw_headers, bytes(response.body))
