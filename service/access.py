"""Authentication and authorisation of requests, by what their headers say. The web framework is not needed for it.

Tokens come as `Authorization: Bearer`. Only their SHA-256 is kept, so that the time a look-up takes says nothing about
a token: tokens are long and random, and need no slower hash.

Without an admin token, anyone who reaches the port may change what is served; the settings allow that on a loopback
address only. A browser on the same machine reaches it too, on behalf of any page. So a change is refused if it comes
from a page of another origin, if it calls the service by a name (which the owner of a page can point at 127.0.0.1), and
if a proxy has forwarded it.
"""

import hmac
import ipaddress
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Literal
from urllib.parse import urlsplit

from models.errors import Forbidden, Unauthenticated

Headers = Iterable[tuple[bytes, bytes]]
"""Names in lower case, and values."""

_SET_BY_PROXIES = {b"forwarded", b"x-forwarded-for", b"x-forwarded-host"}


class Guard:
    """Checks the tokens of requests.

    Args:
        admin_token: None for a service without one.
        api_keys: empty if predictions need no key.
    """

    def __init__(self, admin_token: str | None = None, api_keys: Collection[str] = ()) -> None:
        self._admin = None if admin_token is None else _digest(admin_token.encode())
        self._keys = frozenset(_digest(key.encode()) for key in api_keys)

    @property
    def has_keys(self) -> bool:
        """Whether clients are identified by API keys."""
        return bool(self._keys)

    def authenticate(self, headers: Headers, address: str) -> str:
        """Authorise a prediction, and identify the client that asks for it.

        Args:
            headers: of the request.
            address: the client's network address.

        Returns:
            The digest of the client's API key, in hexadecimal; `address` where keys are not needed, or the request has
            the admin token instead.

        Raises:
            Unauthenticated: API keys are set, and the request has neither one of them nor the admin token.
        """
        if not self._keys:
            return address
        presented = _presented(headers)
        if presented in self._keys:
            return presented.hex()
        if presented is None or not self._is_admin(presented):
            raise _unauthenticated("predictions need an API key", presented)
        return address

    def token_kind(self, headers: Headers) -> Literal["admin", "api_key", "unknown"] | None:
        """Whose token a request has; None for a request without one."""
        presented = _presented(headers)
        if presented is None:
            return None
        if presented in self._keys:
            return "api_key"
        return "admin" if self._is_admin(presented) else "unknown"

    def require_admin(self, headers: Headers) -> None:
        """Authorise a change of what is served.

        Raises:
            Unauthenticated: an admin token is set, and the request does not have it.
            Forbidden: the request has an API key only; or no admin token is set, and the request may come from someone
                other than the operator.
        """
        if self._admin is None:
            _require_direct(headers)
            return
        presented = _presented(headers)
        if presented is None or not self._is_admin(presented):
            if presented in self._keys:
                raise Forbidden("this needs the admin token; an API key is for predictions only")
            raise _unauthenticated("this needs the admin token", presented)

    def identify(self, headers: Headers, address: str) -> str:
        """Identify a client of what is open to everyone: as `authenticate`, and by its address without a key."""
        try:
            return self.authenticate(headers, address)
        except Unauthenticated:
            return address

    def is_operator(self, headers: Headers) -> bool:
        """Whether the request has the admin token."""
        presented = _presented(headers)
        return presented is not None and self._is_admin(presented)

    def _is_admin(self, presented: bytes) -> bool:
        return self._admin is not None and hmac.compare_digest(presented, self._admin)


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _presented(headers: Headers) -> bytes | None:
    """Digest of the bearer token of a request; None if it has none."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                return _digest(token.strip())
    return None


def _unauthenticated(message: str, presented: bytes | None) -> Unauthenticated:
    if presented is None:
        return Unauthenticated(f"{message}: send it as 'Authorization: Bearer <token>'")
    return Unauthenticated(f"{message}: the token of this request is not valid", presented=True)


def _require_direct(headers: Headers) -> None:
    """Refuse requests that a page of another origin may have caused, or that a proxy has forwarded."""
    host, origin = "", None
    for name, value in headers:
        if name == b"host":
            host = value.decode("latin-1")
        elif name == b"origin":
            origin = value.decode("latin-1")
        elif name in _SET_BY_PROXIES:
            raise Forbidden(
                "a proxy has forwarded this request: set an admin token to change what is served through one"
            )
    if not _is_address(host):
        raise Forbidden(
            f"Host: got {host!r}, expected 'localhost' or an IP address; set an admin token to use another name"
        )
    if origin is not None and urlsplit(origin).netloc != host:
        raise Forbidden(
            f"Origin: got {origin!r}, expected the service's own page; set an admin token to use another one"
        )


def _is_address(host: str) -> bool:
    """Whether the host is an IP address or localhost: no name server was asked for it."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ipaddress.ip_address(name)
    except ValueError:
        return host.partition(":")[0] == "localhost"
    return True
