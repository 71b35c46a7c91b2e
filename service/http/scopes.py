"""What the scope of an ASGI request says."""

from starlette.types import Scope


def client_address(scope: Scope) -> str:
    """Network address of a request's client; empty on a unix socket."""
    address = scope.get("client")
    return address[0] if address else ""


def local_path(scope: Scope) -> str:
    """Path of a request without the root path."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
