"""Access of routes.

Every route declares one of three, as a dependency of itself or of its router:

    PUBLIC     anyone
    PREDICT    clients with an API key, or anyone if no keys are set
    ADMIN      clients with the admin token: everything that changes what is served

The application is not built while a route declares none of them.
"""

from collections.abc import Sequence

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase

from service.access import Guard
from service.http.scopes import client_address


class Access:
    """A requirement that a route makes of its client. This one requires nothing."""

    async def __call__(self, request: Request) -> None:
        """Raises `Unauthenticated` or `Forbidden` unless the client meets the requirement."""


class _Predict(Access, SecurityBase):
    scheme_name = "api_key"
    model = HTTPBearer(description="An API key, for predictions. The admin token is accepted as well.")

    async def __call__(self, request: Request) -> None:
        _guard(request).authenticate(request.scope["headers"], client_address(request.scope))


class _Admin(Access, SecurityBase):
    scheme_name = "admin_token"
    model = HTTPBearer(description="The admin token, for everything that changes what is served.")

    async def __call__(self, request: Request) -> None:
        _guard(request).require_admin(request.scope["headers"])


PUBLIC = Depends(Access())
PREDICT = Depends(_Predict())
ADMIN = Depends(_Admin())


def declared(app: FastAPI) -> list[tuple[str, frozenset[str], Access | None]]:
    """Path, methods and access of every route; None if a route declares none, or several different ones."""
    routes = []
    for route in iter_route_contexts(app.routes):
        dependencies = route.dependant.dependencies if hasattr(route, "dependant") else []
        found = {dependency.call for dependency in dependencies if isinstance(dependency.call, Access)}
        access = found.pop() if len(found) == 1 else None
        routes.append((str(route.path), frozenset(route.methods or ()), access))
    return routes


def install(app: FastAPI, guard: Guard, framework_paths: Sequence[str]) -> None:
    """Guard an application whose routes are complete.

    Args:
        app: the application.
        guard: checks the tokens.
        framework_paths: routes of the framework, which cannot declare an access and are public.

    Raises:
        TypeError: another route does not declare exactly one access.
    """
    app.state.guard = guard
    for path, methods, access in declared(app):
        if access is None and path not in framework_paths:
            route = f"{'/'.join(sorted(methods))} {path}"
            raise TypeError(f"{route} must declare its access, once: PUBLIC, PREDICT or ADMIN of service.http.access")


def _guard(request: Request) -> Guard:
    guard: Guard = request.app.state.guard
    return guard
