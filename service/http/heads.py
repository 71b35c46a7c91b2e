"""What the head of a request may be: how large, and that it says one thing only.

The parser below is lenient about headers that come twice. Which of the two counts would depend on who reads them, so a
header that decides something may come once.
"""

from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus

import httptools
import structlog

from models.errors import DengeError
from service.errors import INTERNAL, PublicError, public_error

log = structlog.get_logger()

MAX_URL_BYTES = 8 << 10
MAX_HEADER_BYTES = 8 << 10
"""Of one header: its name and its value."""
MAX_HEAD_BYTES = 32 << 10
MAX_HEADERS = 100

_ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"inference-header-content-length",
        b"origin",
        b"transfer-encoding",
    }
)
_HTTP2_PREFACE = "PRI"
"""What the parser says of the first line of HTTP/2."""
INVALID = PublicError(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")
NO_HTTP2 = PublicError(
    HTTPStatus.BAD_REQUEST,
    "the request is HTTP/2: this port takes HTTP/1.1, and gRPC has a port of its own, --grpc-port",
)
URL_TOO_LONG = PublicError(HTTPStatus.REQUEST_URI_TOO_LONG, f"URL: longer than {MAX_URL_BYTES} bytes")
TOO_MANY_HEADERS = PublicError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers: more than {MAX_HEADERS}")
HEADER_TOO_LARGE = PublicError(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers: one is larger than {MAX_HEADER_BYTES} bytes"
)
HEAD_TOO_LARGE = PublicError(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"headers: larger than {MAX_HEAD_BYTES} bytes together, trailers and extensions of chunks included",
)
NO_HOST = PublicError(HTTPStatus.BAD_REQUEST, "Host: missing, HTTP/1.1 requires it")
NO_TUNNELS = PublicError(HTTPStatus.NOT_IMPLEMENTED, "method: CONNECT is not supported, this is no proxy")
NO_WEBSOCKETS = PublicError(HTTPStatus.BAD_REQUEST, "Upgrade: websockets are not supported")
UNKNOWN_CODING = PublicError(
    HTTPStatus.NOT_IMPLEMENTED, "Transfer-Encoding: only chunked is supported; a Content-Encoding may compress the body"
)


class Refused(Exception):
    """A request is refused before its body has been read.

    Args:
        error: what the client is told.
    """

    def __init__(self, error: PublicError) -> None:
        super().__init__(error.message)
        self.error = error


def validate(headers: list[tuple[bytes, bytes]], version: str) -> dict[bytes, bytes]:
    """Validate the headers of a request, and return them by name.

    Args:
        headers: names in lower case, and values.
        version: of HTTP, e.g. ``1.1``.

    Raises:
        Refused: they are too large, contradict each other, lack the host, or have an unknown transfer coding.
    """
    size = 0
    for name, value in headers:
        of_one = len(name) + len(value)
        if of_one > MAX_HEADER_BYTES:
            raise Refused(HEADER_TOO_LARGE)
        size += of_one
    if size > MAX_HEAD_BYTES:
        raise Refused(HEAD_TOO_LARGE)
    by_name = dict(headers)
    if len(by_name) < len(headers):
        _refuse_repeated(name for name, _ in headers)
    if b"host" not in by_name and version == "1.1":
        raise Refused(NO_HOST)
    if b"transfer-encoding" in by_name:
        _validate_codings(by_name[b"transfer-encoding"])
    return by_name


def validate_upgrade(method: bytes, headers: dict[bytes, bytes]) -> None:
    """Raises Refused unless the upgrade that a request asks for can be ignored, as that to HTTP/2 can."""
    if method == b"CONNECT":
        raise Refused(NO_TUNNELS)
    if headers.get(b"upgrade", b"").lower() == b"websocket":
        raise Refused(NO_WEBSOCKETS)


def reason(error: httptools.HttpParserError | Refused) -> PublicError:
    """What the client is told about a request that cannot be parsed further."""
    cause = error if isinstance(error, Refused) else error.__context__
    if isinstance(cause, Refused):
        return cause.error
    if isinstance(cause, DengeError):
        return public_error(cause)
    if cause is None or isinstance(cause, httptools.HttpParserError):
        # An answer in HTTP/2 (GOAWAY) would have clients of gRPC connect again at once, for ever.
        return NO_HTTP2 if _HTTP2_PREFACE in str(error) else INVALID
    log.error("unexpected_error", exc_info=cause)
    return INTERNAL


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser as uvicorn's protocol makes it."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def without_upgrade(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a request's head without its `Upgrade`."""
    lines = [b"%b %b HTTP/1.1" % (method, url)]
    lines += (b"%b: %b" % header for header in headers if header[0] != b"upgrade")
    return b"\r\n".join((*lines, b"", b""))


def _validate_codings(header: bytes) -> None:
    """Raises Refused where a body is coded before it is cut into chunks: RFC 9112, section 6.1.

    Where the chunks are not the last coding, or come twice, the parser refuses the request.
    """
    *before, last = (coding.strip().lower() for coding in header.split(b","))
    if last == b"chunked" and any(coding not in (b"", b"chunked") for coding in before):
        raise Refused(UNKNOWN_CODING)


def _refuse_repeated(names: Iterable[bytes]) -> None:
    counts = Counter(names)
    for name in _ONCE:
        if counts[name] > 1:
            raise Refused(PublicError(HTTPStatus.BAD_REQUEST, f"{name.decode().title()}: sent more than once"))
