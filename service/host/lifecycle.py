"""What the process is about to do, where requests can see it."""

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Set by the server, read by readiness."""

    stopping: bool = False
