"""What the process is doing next, where routes and background tasks can see it."""

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Set by the server, read by whatever has to end with it.

    Attributes:
        stopping: the server has been told to stop, and answers no longer that it is ready.
    """

    stopping: bool = False
