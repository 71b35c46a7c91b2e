"""Ends connections on which no request comes."""

from collections.abc import Callable

from service.http.timer import Timer


class IdleTimeout:
    """Waits for the next request of one connection. The timer goes on over many requests: it is not set for each.

    Args:
        timer: nothing else uses it.
        clock: seconds, never going back.
        seconds: without a request after which the connection has timed out.
        is_idle: whether no request is read or answered.
        on_timeout: called then.
    """

    def __init__(
        self,
        timer: Timer,
        clock: Callable[[], float],
        seconds: float,
        is_idle: Callable[[], bool],
        on_timeout: Callable[[], None],
    ) -> None:
        self._timer = timer
        self._clock = clock
        self._seconds = seconds
        self._is_idle = is_idle
        self._on_timeout = on_timeout
        self._started = 0.0

    @property
    def is_running(self) -> bool:
        """Whether the timer runs."""
        return self._timer.is_running

    def start(self) -> None:
        """Wait from now on: a request has been answered."""
        self._started = self._clock()
        self._timer.start(self._seconds, self._check)

    def stop(self) -> None:
        """Wait no more."""
        self._timer.stop()

    def _check(self) -> None:
        if not self._is_idle():  # started again when the request has been answered
            return
        left = self._started + self._seconds - self._clock()
        if left > 0:
            self._timer.start(left, self._check)
        else:
            self._on_timeout()
