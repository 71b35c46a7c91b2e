"""How long a connection may take for what, and how large a body may be."""

from typing import NamedTuple


class ConnectionLimits(NamedTuple):
    """Limits of every connection.

    Attributes:
        head_seconds: for the whole head of a request, and for its first byte on a new connection.
        body_seconds: for the whole body of a request.
        write_seconds: for a client to take a part of what waits to be sent to it.
        max_body_bytes: larger bodies are refused.
    """

    head_seconds: float
    body_seconds: float
    write_seconds: float
    max_body_bytes: int
