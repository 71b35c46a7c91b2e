"""Who may do what.

Every route declares one of three, as a dependency of itself or of its router. One that declares none stops the start:

    PUBLIC     anyone
    PREDICT    who has an API key, or anyone where none are set
    ADMIN      who has the admin token, since it changes what is served

Tokens come as `Authorization: Bearer`. Only their SHA-256 is kept, so that looking one up says nothing about it: tokens
are long and random, and need no slower hash.

Without an admin token, who reaches the port may change what is served; the settings allow that on a loopback address.
A browser on the same machine reaches it too, on behalf of any page. So such a call is refused when it comes from a page
of another origin, when it calls the service by a name (which the owner of a page can point at 127.0.0.1), and when a
proxy has passed it on.
"""

import hmac
import ipaddress
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase
from starlette.types import Scope

from models.errors import Forbidden, Unauthenticated

Headers = Iterable[tuple[bytes, bytes]]

_PROXIED = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host"}


class Guard:
    """Knows the tokens.

    Args:
        admin_token: None where there is none.
        api_keys: none where predictions are for everyone.
    """

    def __init__(self, admin_token: str | None = None, api_keys: Collection[str] = ()) -> None:
        self._admin = None if admin_token is None else _digest(admin_token.encode())
        self._keys = frozenset(_digest(key.encode()) for key in api_keys)

    @property
    def has_keys(self) -> bool:
        """Whether callers are known by one."""
        return bool(self._keys)

    def require_key(self, headers: Headers) -> None:
        """Let a prediction pass. The admin token is a key as well.

        Raises:
            Unauthenticated: keys are set, and the request has none of them.
        """
        if not self._keys:
            return
        presented = _presented(headers)
        if presented is None or not (presented in self._keys or self._is_admin(presented)):
            raise _unauthenticated("predictions need an API key", presented)

    def require_admin(self, headers: Headers) -> None:
        """Let a change of state pass.

        Raises:
            Unauthenticated: an admin token is set, and the request does not have it.
            Forbidden: the request has an API key only; or none is set, and it may be another's than the operator's.
        """
        if self._admin is None:
            _require_direct(headers)
            return
        presented = _presented(headers)
        if presented is None or not self._is_admin(presented):
            if presented in self._keys:
                raise Forbidden("this needs the admin token; an API key is for predictions only")
            raise _unauthenticated("this needs the admin token", presented)

    def client(self, scope: Scope) -> str:
        """Who sends a request: an API key, or else the address that it comes from."""
        presented = _presented(scope["headers"])
        if presented in self._keys:
            return presented.hex()
        address = scope.get("client")
        return address[0] if address else ""

    def _is_admin(self, presented: bytes) -> bool:
        return self._admin is not None and hmac.compare_digest(presented, self._admin)


class Access:
    """What a route asks of its caller; this one asks nothing."""

    async def __call__(self, request: Request) -> None:
        """Let a request pass, or raise."""


class _Predict(Access, SecurityBase):
    scheme_name = "API key"
    model = HTTPBearer(description="For predictions, where the service has API keys. The admin token will do as well.")

    async def __call__(self, request: Request) -> None:
        guard: Guard = request.app.state.guard
        guard.require_key(request.scope["headers"])


class _Admin(Access, SecurityBase):
    scheme_name = "admin token"
    model = HTTPBearer(description="For everything that changes what is served, where the service has an admin token.")

    async def __call__(self, request: Request) -> None:
        guard: Guard = request.app.state.guard
        guard.require_admin(request.scope["headers"])


PUBLIC = Depends(Access())
PREDICT = Depends(_Predict())
ADMIN = Depends(_Admin())


def declared(app: FastAPI) -> list[tuple[str, frozenset[str], Access | None]]:
    """Path, methods and access of every route; None where it declares none, or more than one."""
    routes = []
    for route in iter_route_contexts(app.routes):
        dependencies = route.dependant.dependencies if hasattr(route, "dependant") else []
        found = [dependency.call for dependency in dependencies if isinstance(dependency.call, Access)]
        access = found[0] if len(found) == 1 else None
        routes.append((str(route.path), frozenset(route.methods or ()), access))
    return routes


def install(app: FastAPI, guard: Guard, framework_paths: Sequence[str]) -> None:
    """Guard an application whose routes are complete.

    Args:
        app: all of it.
        guard: knows the tokens.
        framework_paths: the framework's own, which cannot declare anything and are public.

    Raises:
        TypeError: another route does not declare its access, once.
    """
    app.state.guard = guard
    for path, methods, access in declared(app):
        if access is None and path not in framework_paths:
            route = f"{'/'.join(sorted(methods))} {path}"
            raise TypeError(f"{route} must declare its access, once: PUBLIC, PREDICT or ADMIN of service.access")


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _presented(headers: Headers) -> bytes | None:
    """Digest of the token that a request has."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return _digest(token.strip())
    return None


def _unauthenticated(message: str, presented: bytes | None) -> Unauthenticated:
    if presented is None:
        return Unauthenticated(f"{message}, as 'Authorization: Bearer <token>'")
    return Unauthenticated(f"{message}, and the one given is another", presented=True)


def _require_direct(headers: Headers) -> None:
    """Refuse what a page of another origin may have sent, or anyone through a proxy."""
    host, origin = "", None
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name in _PROXIED:
            raise Forbidden("a proxy has passed this on: set an admin token to change what is served through one")
    if not _is_address(host):
        raise Forbidden(f"without an admin token, call the service localhost or by its address, not {host!r}")
    if origin is not None and urlsplit(origin).netloc != host:
        raise Forbidden(f"a page of {origin!r} may not change what is served: set an admin token")


def _is_address(host: str) -> bool:
    """Whether no name server was asked for it."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ipaddress.ip_address(name)
    except ValueError:
        return host.partition(":")[0] == "localhost"
    return True
