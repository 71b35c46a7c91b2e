"""Settings of how long the service waits for clients, and at its end."""

from pydantic import BaseModel, Field

STOP_GRACE_SECONDS = 5.0
"""To save what is kept over a restart, after the last request."""


class Waiting(BaseModel, defer_build=True):
    """Times of a connection, of a request, and between SIGTERM and the end."""

    head_seconds: float = Field(
        20.0, gt=0, description="How long the head of a request may take, and the first byte on a new connection."
    )
    body_seconds: float = Field(60.0, gt=0, description="How long the body of a request may take.")
    write_seconds: float = Field(
        60.0, gt=0, description="How long a client may take to read the next 64 KiB of its response."
    )
    keep_alive_seconds: int = Field(
        75, ge=1, description="How long an idle connection stays open. Set it longer than that of a proxy in front."
    )
    shutdown_delay_seconds: float = Field(
        0.0, ge=0, description="How long to go on serving after SIGTERM, as not ready, before the port closes."
    )
    drain_seconds: int = Field(
        30, ge=1, description="How long requests in flight may take to finish after the port has closed."
    )

    @property
    def stop_seconds(self) -> float:
        """Longest time from SIGTERM to the end of the process."""
        return self.shutdown_delay_seconds + self.drain_seconds + STOP_GRACE_SECONDS
