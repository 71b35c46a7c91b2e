"""One replica, as the others see it."""

import secrets
import socket
from datetime import datetime
from typing import Literal

from pydantic import Field

from service.replicas.values import StoredModel


class Member(StoredModel):
    """A replica that is alive.

    Attributes:
        id: unique among all replicas there have been.
        address: URL at which the other replicas reach it.
        version: of the program.
        started: when its process started.
        state: whether it serves already.
        requests: that it has answered.
        catalog: revision of the catalog that it has applied; 0 before the first.
        group: of the replicas that share its port; empty where it has a port of its own.
    """

    id: str
    address: str
    version: str
    started: datetime
    state: Literal["starting", "ready"] = "starting"
    requests: int = Field(0, ge=0)
    catalog: int = Field(0, ge=0)
    group: str = ""


def new_id() -> str:
    """Returns an id for a replica that starts: the machine's name, which operators know, and something random."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"
