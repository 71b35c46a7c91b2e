"""Ends connections whose clients do not take what is sent to them."""

import asyncio

import structlog

from service.http.timer import Timer

log = structlog.get_logger()

MIN_TAKEN_BYTES = 64 << 10
"""That a client takes in each period, or all that waits for it: some kilobytes a second."""


class WriteTimeout:
    """Aborts a connection whose client takes too little.

    Args:
        timer: of its own.
        transport: of the connection.
        seconds: of a period.
    """

    def __init__(self, timer: Timer, transport: asyncio.Transport, seconds: float) -> None:
        self._timer = timer
        self._transport = transport
        self._seconds = seconds
        self._waiting = 0

    def start(self) -> None:
        """Watch, from now on, what waits to be sent. Nothing else is to be written meanwhile."""
        if not self._timer.is_running:
            self._waiting = self._transport.get_write_buffer_size()
            self._timer.start(self._seconds, self._check)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.stop()

    def _check(self) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting and waiting > self._waiting - MIN_TAKEN_BYTES:
            log.info("client_does_not_read", seconds=self._seconds, unsent=waiting)
            self._transport.abort()
        else:
            self.start()
