"""Cross-origin requests: which pages of other origins may read answers of the service."""

from collections.abc import Sequence

from starlette.types import ASGIApp

_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")
_SENT = ("Authorization", "Inference-Header-Content-Length", "X-Request-ID", "traceparent", "tracestate")
_READ = ("Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate", "X-Request-ID", "X-Row-Versions")


def allow_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Let pages of these origins use an application, without cookies: ASGI middleware. None are allowed by default."""
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware  # noqa: PLC0415 - slow to import, and needed by few

    return CORSMiddleware(app, origins, allow_methods=_METHODS, allow_headers=_SENT, expose_headers=_READ)
