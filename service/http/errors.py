"""Error responses of the application. Every body is `{"error": <message>}`."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from models.errors import DengeError
from service.errors import INTERNAL, PublicError, public_error

_MAX_SHOWN = 60
"""Characters of a wrong value that an error message repeats."""


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


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    match status:
        case HTTPStatus.NOT_FOUND:
            message = f"path: no such path '{_shorten(request.url.path)}'; /docs lists all paths"
            return error_response(PublicError(status, message))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_allowed_methods(request))
            message = f"method: got {request.method}, this path allows {allowed}"
            return error_response(PublicError(status, message, {"Allow": allowed}))
    return error_response(PublicError(status, error.detail, dict(error.headers or {})))


def _allowed_methods(request: Request) -> list[str]:
    """The methods of all routes that have the request's path. The framework would name those of the first one only."""
    routes = [route for route in iter_route_contexts(request.app.routes) if route.methods]
    found = [route.methods or () for route in routes if route.path_regex.match(request.url.path)]
    return sorted(set().union(*found))


def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return error_response(PublicError(HTTPStatus.BAD_REQUEST, _describe(error.errors()[0])))


def _describe(problem: dict[str, Any]) -> str:
    """One problem that pydantic has found, in the form of the service's own messages."""
    field = ".".join(str(part) for part in problem["loc"])
    expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if expected == problem["msg"]:  # "Field required" and the like, which say all
        return f"{field}: {expected[0].lower()}{expected[1:]}"
    return f"{field}: got {_shorten(repr(problem['input']))}, expected {expected}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _unexpected_error(_request: Request, _error: Exception) -> JSONResponse:
    # Not logged here: the framework re-raises the error after this response, and `service.http.context` logs it.
    return error_response(INTERNAL)
