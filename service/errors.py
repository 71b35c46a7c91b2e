"""From a domain error to an HTTP answer: the only place with status codes. Every body is `{"error": ...}`."""

from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import (
    BundleError,
    ClientDisconnected,
    DengeError,
    Forbidden,
    InferenceFailed,
    InvalidInput,
    NotFound,
    NotReady,
    Overloaded,
    TooLarge,
    Unauthenticated,
    UnsupportedEncoding,
)

log = structlog.get_logger()

_STATUS: dict[type[DengeError], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    ClientDisconnected: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    BundleError: HTTPStatus.SERVICE_UNAVAILABLE,
    InferenceFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    DengeError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

INTERNAL = "internal error; the service's log has the details under this request id"


def install(app: FastAPI) -> None:
    """Answer every error of the application in the protocol's format."""
    app.add_exception_handler(DengeError, domain_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _defect)


def error_answer(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer in the protocol's format."""
    return JSONResponse({"error": message}, status, headers)


def domain_error(_request: Request | None, error: Exception) -> JSONResponse:
    """The answer to a domain error; what is nobody else's business goes to the log instead."""
    status = next(_STATUS[cls] for cls in type(error).__mro__ if cls in _STATUS)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("internal_error", error=str(error), exc_info=error)
        return error_answer(status, INTERNAL)
    return error_answer(status, str(error), _headers(error))


def _headers(error: Exception) -> dict[str, str] | None:
    match error:
        case TooLarge():  # the rest of the body is not read, so the connection cannot carry another request
            return {"Connection": "close"}
        case Unauthenticated():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"' if error.presented else "Bearer"}
    return None


def _defect(_request: Request, _error: Exception) -> JSONResponse:
    # The framework raises it on, once this is sent, and `service.http.context` puts it into the log.
    return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL)


def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    return error_answer(error.status_code, error.detail, dict(error.headers or {}))


def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return error_answer(HTTPStatus.BAD_REQUEST, f"{field}: {first['msg']}")
