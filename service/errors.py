"""From an error of the domain to what a client is told: the only place with status codes."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from types import MappingProxyType
from typing import NamedTuple

import structlog

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
    RunTooLong,
    StorageError,
    TooLarge,
    Unauthenticated,
    UnsupportedEncoding,
)

log = structlog.get_logger()

_RETRY_SECONDS = 5
"""After which a disk or a lock may let through what it has held up."""


class NotAgreed(DengeError):
    """A change is stored and served by this replica, but not by all replicas yet.

    Args:
        pending: ids of the replicas that do not serve it.
    """

    def __init__(self, pending: Sequence[str]) -> None:
        super().__init__(f"the change is stored; not applied yet by {', '.join(pending)}, which go on trying")
        self.pending = pending


class PublicError(NamedTuple):
    """An error as a client sees it.

    Attributes:
        status: of the response.
        message: what is wrong, where, what was expected and what to do.
        headers: of the response, besides those that every response has.
    """

    status: HTTPStatus
    message: str
    headers: Mapping[str, str] = MappingProxyType({})


INTERNAL = PublicError(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the service's log has the details under this request id"
)

_STATUS: dict[type[DengeError], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    ClientDisconnected: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NotSupported: HTTPStatus.NOT_IMPLEMENTED,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    NotAgreed: HTTPStatus.ACCEPTED,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    BundleError: HTTPStatus.SERVICE_UNAVAILABLE,
    RunTooLong: HTTPStatus.SERVICE_UNAVAILABLE,
    InferenceFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    DengeError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


_MAX_MESSAGE = 1000
"""Characters. Messages repeat what the client has sent, which may be long."""


def public_error(error: DengeError) -> PublicError:
    """What a client is told about an error. Internal errors are logged, and the client is told no details."""
    status = next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("internal_error", error=str(error), exc_info=error)
        return INTERNAL
    message = str(error)
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}..."
    return PublicError(status, message, _headers(error))


def _headers(error: DengeError) -> dict[str, str]:
    match error:
        case TooLarge():  # the rest of the body is not read, so the connection cannot carry another request
            return {"Connection": "close"}
        case StorageError():
            return {"Retry-After": str(_RETRY_SECONDS)}
        case UnsupportedEncoding():
            return {"Accept-Encoding": "gzip, deflate"}
        case Unauthenticated():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"' if error.presented else "Bearer"}
        case Overloaded():
            return {"Retry-After": str(max(1, ceil(error.retry_after)))}  # whole seconds: RFC 9110, section 10.2.3
    return {}
