"""GET /v2/health/live without the framework, which takes a millisecond for each: crowds that ask delay nobody."""

from collections.abc import Mapping

from service.http.context import RequestContext, choose_request_id
from service.http.response import Response

PATH = "/v2/health/live"
_URL = PATH.encode()
_BODY = b'{"live":true}'
_HEADERS = [(b"content-length", b"%d" % len(_BODY)), (b"content-type", b"application/json")]


def answer(
    context: RequestContext, method: bytes, url: bytes, headers: Mapping[bytes, bytes], client: str
) -> Response | None:
    """The answer of a process that is alive; None to another request. The framework answers other forms of this one.

    Args:
        context: of every request.
        method, url, headers: of the request.
        client: its network address.
    """
    if method != b"GET" or url != _URL:
        return None
    response = Response(200, [*_HEADERS], _BODY)
    return context.finish(response, PATH, "GET", PATH, choose_request_id(headers), 0.0, client)
