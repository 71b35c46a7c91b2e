"""What the process is doing next, where routes and background tasks can see it."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Lifecycle:
    """Set by the server, read by whatever has to end with it.

    Attributes:
        stopping: the server has begun to stop, and is not ready any more.
        addresses: on which the process serves besides HTTP, by protocol; announced when it has started.
    """

    stopping: bool = False
    addresses: dict[str, str] = field(default_factory=dict)
    _on_drain: list[Callable[[], None]] = field(default_factory=list)

    def on_drain(self, close: Callable[[], None]) -> None:
        """Call a function on the event loop when the ports close, while requests in flight are still answered."""
        self._on_drain.append(close)

    def drain(self) -> None:
        """Close what is to be closed with the ports."""
        for close in self._on_drain:
            close()
