"""From an error of the domain to the status of a call: the only place with gRPC's codes.

`service.errors` says what the client is told and which status it is in HTTP; the code follows from that. Overload is
UNAVAILABLE, as in Triton: clients with a retry policy try again by themselves.
"""

from http import HTTPStatus
from typing import NamedTuple

import structlog
from grpc import StatusCode

from models.errors import DengeError, Overloaded
from service.errors import INTERNAL, public_error

log = structlog.get_logger()

CODES = {
    HTTPStatus.ACCEPTED: StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.BAD_REQUEST: StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: StatusCode.NOT_FOUND,
    HTTPStatus.CONFLICT: StatusCode.FAILED_PRECONDITION,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: StatusCode.INVALID_ARGUMENT,
    HTTPStatus.INTERNAL_SERVER_ERROR: StatusCode.INTERNAL,
    HTTPStatus.NOT_IMPLEMENTED: StatusCode.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: StatusCode.UNAVAILABLE,
}
"""By the status of the same error in HTTP."""


class Failure(NamedTuple):
    """How a call ends that failed.

    Attributes:
        code: of the call.
        message: what is wrong, where, what was expected and what to do.
        status: of the HTTP response that would say the same; under it the call is counted and logged.
        metadata: sent behind the status.
    """

    code: StatusCode
    message: str
    status: int
    metadata: tuple[tuple[str, str], ...] = ()


def failure(error: Exception) -> Failure:
    """How a call ends with an error. Internal errors are logged, and the client is told no details."""
    if not isinstance(error, DengeError):
        log.error("unexpected_error", exc_info=error)
        return Failure(StatusCode.INTERNAL, INTERNAL.message, INTERNAL.status)
    public = public_error(error)
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(error, Overloaded):
        # Clients with a retry policy wait for so long: github.com/grpc/proposal/blob/master/A6-client-retries.md
        metadata = (("grpc-retry-pushback-ms", str(round(error.retry_after * 1e3))),)
    return Failure(CODES[public.status], public.message, public.status, metadata)
