"""Error responses of the framework. Every body is `{"error": <message>}`."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException

from models.errors import DengeError
from models.validation import describe, field_of, fields_at, shorten
from service.errors import INTERNAL, NotAgreed, PublicError, public_error
from service.http.context import ERROR
from service.http.response import from_error
from service.http.scopes import local_path


def install(app: FastAPI) -> None:
    """Answer every error of an application in the same format."""
    app.add_exception_handler(DengeError, _domain_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


def _respond(request: Request, error: PublicError) -> Response:
    """The framework's response to an error."""
    request.scope[ERROR] = error.message
    written = from_error(error)
    response = Response(written.body, written.status)
    response.raw_headers = written.headers
    return response


def _domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DengeError)  # noqa: S101
    if isinstance(error, NotAgreed):
        return JSONResponse({"message": str(error), "pending": error.pending}, HTTPStatus.ACCEPTED)
    return _respond(request, public_error(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    match status:
        case HTTPStatus.NOT_FOUND:
            near = _near_path(request)
            advice = "/docs lists all paths" if near is None else f"did you mean '{shorten(near)}'?"
            message = f"path: no such path '{shorten(request.url.path)}'; {advice}"
            return _respond(request, PublicError(status, message))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_allowed_methods(request, local_path(request.scope)))
            message = f"method: got {request.method}, this path allows {allowed}"
            return _respond(request, PublicError(status, message, {"Allow": allowed}))
    message = _body_problem(error.__cause__) or error.detail
    return _respond(request, PublicError(status, message, dict(error.headers or {})))


def _body_problem(cause: BaseException | None) -> str | None:
    """Why the framework could not parse a body; None where it was something else."""
    match cause:
        case UnicodeDecodeError():
            return f"body: not valid JSON: not UTF-8 at byte {cause.start}"
        case RecursionError():
            return "body: not valid JSON: nested too deeply"
    return None


def _near_path(request: Request) -> str | None:
    """The path without its last slash, or with V1's colon in place of it, where there is such a path."""
    path = _with_other_slash(local_path(request.scope))
    allowed = _allowed_methods(request, path)
    is_near = "POST" in allowed if ":" in path else bool(allowed)
    return _with_other_slash(request.url.path) if is_near else None


def _with_other_slash(path: str) -> str:
    before, _, last = path.rpartition("/")
    return f"{before}:{last}" if last else before


def _allowed_methods(request: Request, path: str) -> list[str]:
    """The methods of all routes that have the path. The framework would name those of the first one only."""
    routes = [route for route in iter_route_contexts(request.app.routes) if route.methods]
    found = [route.methods or () for route in routes if route.path_regex.match(path)]
    allowed = set().union(*found)
    return sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    body = _body(request.scope["route"])
    message = f"{field_of(first)}: {describe({**first, 'loc': first['loc'][1:]}, model=body)}"
    match first["type"], first["loc"]:
        case "json_invalid", ("body", position):
            message = f"body: not valid JSON: {first['ctx']['error']} at character {position}"
        case "missing", ("body",):
            message += f", expected a JSON object with {fields_at(body, ())}"
    return _respond(request, PublicError(HTTPStatus.BAD_REQUEST, message))


def _body(route: APIRoute) -> Any:
    """Annotation of a route's body: a model, or a model that may be left out; None where it has no body."""
    return route.body_field.field_info.annotation if route.body_field else None


def _unexpected_error(request: Request, _error: Exception) -> Response:
    # Not logged here: the framework re-raises the error after this response, and `service.http.context` logs it.
    return _respond(request, INTERNAL)
