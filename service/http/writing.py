"""Ends connections whose clients do not take what is sent to them."""

import asyncio

import structlog

log = structlog.get_logger()

MIN_TAKEN_BYTES = 64 << 10
"""That a client takes in each period, or all that waits for it: some kilobytes a second."""


class WriteTimeout:
    """Aborts a connection whose client takes too little.

    Args:
        loop: of the connection.
        transport: of the connection.
        seconds: of a period.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, seconds: float) -> None:
        self._loop = loop
        self._transport = transport
        self._seconds = seconds
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch, from now on, what waits to be sent. Nothing else is to be written meanwhile."""
        if self._timer is None:
            self._waiting = self._transport.get_write_buffer_size()
            self._timer = self._loop.call_later(self._seconds, self._check)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        waiting = self._transport.get_write_buffer_size()
        if waiting and waiting > self._waiting - MIN_TAKEN_BYTES:
            log.info("client_does_not_read", seconds=self._seconds, unsent=waiting)
            self._transport.abort()
        else:
            self.start()
