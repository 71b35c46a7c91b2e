"""Health checks without the framework, which takes a part of a millisecond for each: crowds that ask delay nobody."""

from collections.abc import Callable, Mapping, Sequence

import orjson

from models.errors import NotReady
from service.errors import public_error
from service.http.context import RequestContext, choose_request_id
from service.http.response import Response, from_error

_PATHS = {path.encode(): path for path in ("/v2/health/live", "/v2/health/ready")}
_LIVE = b'{"live":true}'
_JSON = (b"content-type", b"application/json")
_OK = 200


class HealthChecks:
    """Answers /v2/health/live and /v2/health/ready, from memory. The framework answers their other forms.

    Args:
        context: of every request.
        check_readiness: returns warnings; raises `NotReady` where the service accepts no requests.
    """

    def __init__(self, context: RequestContext, check_readiness: Callable[[], Sequence[str]]) -> None:
        self._context = context
        self._check_readiness = check_readiness

    def answer(self, method: bytes, url: bytes, headers: Mapping[bytes, bytes], client: str) -> Response | None:
        """The answer; None to another request.

        Args:
            method, url, headers: of the request.
            client: its network address.
        """
        path = _PATHS.get(url)
        if path is None or method not in {b"GET", b"HEAD"}:
            return None
        response = _ok(_LIVE) if path == "/v2/health/live" else self._readiness()
        if method == b"HEAD":
            response = response._replace(body=b"")
        return self._context.finish(response, path, method.decode(), path, choose_request_id(headers), 0.0, client)

    def _readiness(self) -> Response:
        try:
            warnings = self._check_readiness()
        except NotReady as error:
            return from_error(public_error(error))
        return _ok(orjson.dumps({"live": True, "ready": True, **({"warnings": warnings} if warnings else {})}))


def _ok(body: bytes) -> Response:
    return Response(_OK, [(b"content-length", b"%d" % len(body)), _JSON], body)
