"""Error responses of the application. Every body is `{"error": <message>}`."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import DengeError
from service.errors import INTERNAL, PublicError, public_error


def install(app: FastAPI) -> None:
    """Answer every error of an application in the same format."""
    app.add_exception_handler(DengeError, _domain_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


def error_response(error: PublicError) -> JSONResponse:
    """The response to an error."""
    return JSONResponse({"error": error.message}, error.status, error.headers)


def _domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DengeError)  # noqa: S101
    return error_response(public_error(error))


def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    return error_response(PublicError(HTTPStatus(error.status_code), error.detail, dict(error.headers or {})))


def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return error_response(PublicError(HTTPStatus.BAD_REQUEST, f"{field}: {first['msg']}"))


def _unexpected_error(_request: Request, _error: Exception) -> JSONResponse:
    # Not logged here: the framework re-raises the error after this response, and `service.http.context` logs it.
    return error_response(INTERNAL)
