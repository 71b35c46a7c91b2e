"""What the process is doing next, where routes and background tasks can see it."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import sleep

import structlog

from models.manifest import Manifest

log = structlog.get_logger()

FORCED_EXIT = 4
"""Exit code of a process that did not end by itself."""

_LOG_SECONDS = 0.5


@dataclass
class Lifecycle:
    """Set by the server, read by whatever has to end with it.

    Attributes:
        stopping: the server has begun to stop, and is not ready any more.
        addresses: on which the process serves besides HTTP, by protocol; announced when it has started.
        served: returns names and manifests of the models' default versions.
    """

    stopping: bool = False
    addresses: dict[str, str] = field(default_factory=dict)
    served: Callable[[], Sequence[tuple[str, Manifest]]] = tuple
    _on_drain: list[Callable[[], None]] = field(default_factory=list)

    def on_drain(self, close: Callable[[], None]) -> None:
        """Call a function on the event loop when the ports close, while requests in flight are still answered."""
        self._on_drain.append(close)

    def drain(self) -> None:
        """Close what is to be closed with the ports."""
        for close in self._on_drain:
            close()

    def stop(self, seconds: float) -> None:
        """Begin to stop. The process ends in time, whatever hangs: nothing else ends a thread that waits for a disk.

        Args:
            seconds: after which it ends without its threads.
        """
        if not self.stopping:
            self.stopping = True
            timer = threading.Timer(seconds, _exit, [seconds])
            timer.daemon = True
            timer.start()


def _exit(seconds: float) -> None:
    threads = sorted(thread.name for thread in threading.enumerate())
    # In a thread, since the log may be what hangs.
    threading.Thread(
        target=log.error, args=("stopped_by_force",), kwargs={"seconds": seconds, "threads": threads}
    ).start()
    sleep(_LOG_SECONDS)
    os._exit(FORCED_EXIT)
