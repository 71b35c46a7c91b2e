"""Requests that are answered before all of them has come: what the client still sends is read and dropped."""

import asyncio
from enum import Enum, auto
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from service.errors import PublicError
from service.http.bodies import CollectedBody
from service.http.connection import Connection
from service.http.response import Response

MAX_SKIPPED_BYTES = 256 << 10
"""Of the body of a request that is refused by its head. A larger one ends the connection."""


class Phase(Enum):
    """What of a request is read now."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    SKIPPED = auto()  # the body of a request that has been answered


class ConnectionEnded(Exception):
    """The response to a request was the last one of its connection: nothing more of it is parsed."""


class RefusingConnection(Connection):
    """A connection whose requests may be refused before they have ended. `service.http.protocol` reads them.

    Args:
        config, server_state, app_state: of uvicorn. The application is an `Application`.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._phase = Phase.IDLE
        self._method = self.url = b""
        self.headers = []
        self._length: int | None = None  # of the body; None where it comes in chunks
        self._body = CollectedBody(self._limits.max_body_bytes)
        self._expects_continue = False

    def _answer_early(self, response: Response) -> None:
        """Answer a request whose body has not been read.

        Raises:
            ConnectionEnded: the connection ends with the response.
        """
        is_small = self._length is not None and self._length <= MAX_SKIPPED_BYTES
        if is_small and not self._expects_continue and not response.closes:
            self._phase = Phase.SKIPPED
            self._send(response)
        else:
            self._drop()
            self._end(response)
            raise ConnectionEnded

    def _refuse(self, error: PublicError) -> None:
        """End the connection with an error: the rest of the request is not read."""
        response = self._record(error)
        self._drop()
        self._end(response)

    def _record(self, error: PublicError) -> Response:
        return self._application.context.refuse(
            error, self._method.decode(), self.url, dict(self.headers), self._address
        )

    def _drop(self) -> None:
        self._phase = Phase.IDLE
        self._body.take()
        self._reservation.release()
