"""Shows on standard error how far a command has come, and how long it will still take."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import Self, TextIO

_QUIET_SECONDS = 2.0
"""What is done sooner needs no progress."""

_CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """One line, written again and again on a terminal; elsewhere, a line for each step.

    Args:
        command: the name of what runs.
        stream: standard error by default.
        clock: seconds from any beginning.
    """

    def __init__(self, command: str, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._command = command
        self._stream = stream or sys.stderr
        self._clock = clock
        self._started = clock()
        self._step = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the line from a terminal."""
        if self._step and self._stream.isatty():
            self._write(_CLEAR_LINE)

    def __call__(self, step: str, share: float) -> None:
        """Show what is done now, and the share of everything that has been done, once two seconds have passed."""
        elapsed = self._clock() - self._started
        is_terminal = self._stream.isatty()
        if elapsed < _QUIET_SECONDS or (step == self._step and not is_terminal):
            return
        self._step = step
        left = f", about {elapsed * (1 - share) / share:.0f} s left" if share > 0 else ""
        text = f"{self._command}: {step} ({share:.0%} done{left})"
        self._write(f"{_CLEAR_LINE}{text}" if is_terminal else f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
