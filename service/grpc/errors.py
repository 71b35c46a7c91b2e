"""From an error of the domain to the status of a call: the only place with gRPC's codes.

`service.errors` has what the client is told. Overload is UNAVAILABLE, as in Triton: clients retry that by themselves.
"""

from typing import NamedTuple

import structlog
from grpc import StatusCode

from models.errors import (
    BundleError,
    ClientDisconnected,
    DengeError,
    Forbidden,
    InferenceFailed,
    InvalidInput,
    NotFound,
    NotReady,
    NotSupported,
    Overloaded,
    TooLarge,
    Unauthenticated,
)
from service.errors import INTERNAL, public_error

log = structlog.get_logger()

_CODES: dict[type[DengeError], StatusCode] = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    TooLarge: StatusCode.RESOURCE_EXHAUSTED,
    ClientDisconnected: StatusCode.CANCELLED,
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    Forbidden: StatusCode.PERMISSION_DENIED,
    NotFound: StatusCode.NOT_FOUND,
    NotSupported: StatusCode.UNIMPLEMENTED,
    NotReady: StatusCode.UNAVAILABLE,
    Overloaded: StatusCode.UNAVAILABLE,
    BundleError: StatusCode.UNAVAILABLE,
    InferenceFailed: StatusCode.INTERNAL,
    DengeError: StatusCode.INTERNAL,
}


class NotServed(Exception):
    """A method of the protocol that this service does not have. The message says what to do instead."""


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
    if isinstance(error, NotServed):
        return Failure(StatusCode.UNIMPLEMENTED, str(error), 501)
    if not isinstance(error, DengeError):
        log.error("unexpected_error", exc_info=error)
        return Failure(StatusCode.INTERNAL, INTERNAL.message, INTERNAL.status)
    code = next(_CODES[cls] for cls in type(error).__mro__ if cls in _CODES)
    public = public_error(error)
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(error, Overloaded):
        # Clients with a retry policy wait for so long: github.com/grpc/proposal/blob/master/A6-client-retries.md
        metadata = (("grpc-retry-pushback-ms", str(round(error.retry_after * 1e3))),)
    return Failure(code, public.message, public.status, metadata)
