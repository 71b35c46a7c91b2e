"""How far something has come that takes seconds."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is done now, and the share of everything that has been done, from 0 to 1."""


def silent(_step: str, _share: float) -> None:
    """Show nothing."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """The progress of a part, from its start to its end in the whole."""
    return lambda step, share: progress(step, start + (end - start) * share)
