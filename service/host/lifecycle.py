"""What the process is doing next, where routes and background tasks can see it."""

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Set by the server, read by whatever has to end with it.

    Attributes:
        stopping: the server has begun to stop, and is not ready any more.
    """

    stopping: bool = False
