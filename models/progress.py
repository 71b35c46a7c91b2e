"""How far something has come that takes seconds, and a line on standard error that shows it."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import Self, TextIO

Progress = Callable[[str, float], None]
"""Called with what is done now, and the share of everything that has been done, from 0 to 1."""

_QUIET_SECONDS = 2.0
"""What is done sooner needs no progress."""

_CLEAR_LINE = "\r\x1b[K"


def silent(_step: str, _share: float) -> None:
    """Show nothing."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """The progress of a part, from its start to its end in the whole."""
    return lambda step, share: progress(step, start + (end - start) * share)


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

    def __call__(self, step: str, share: float | None = None) -> None:
        """Show what is done now, once two seconds have passed.

        Args:
            step: what is done now.
            share: of everything, that has been done; None if it is not known: then the seconds so far are shown.
        """
        elapsed = self._clock() - self._started
        is_terminal = self._stream.isatty()
        if elapsed < _QUIET_SECONDS or (step == self._step and not is_terminal):
            return
        self._step = step
        text = f"{self._command}: {step} ({_describe(share, elapsed)})"
        self._write(f"{_CLEAR_LINE}{text}" if is_terminal else f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _describe(share: float | None, elapsed: float) -> str:
    if share is None:
        return f"{elapsed:.0f} s"
    left = f", about {elapsed * (1 - share) / share:.0f} s left" if share > 0 else ""
    return f"{share:.0%} done{left}"
