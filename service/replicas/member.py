"""One replica, as the others see it."""

import secrets
import socket
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.replicas.values import pack, unpack

SCHEMA = 1


class Member(BaseModel):
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

    model_config = ConfigDict(frozen=True)

    id: str
    address: str
    version: str
    started: datetime
    state: Literal["starting", "ready"] = "starting"
    requests: int = Field(0, ge=0)
    catalog: int = Field(0, ge=0)
    group: str = ""

    def to_value(self) -> bytes:
        """Returns the value that the store holds."""
        return pack(SCHEMA, self.model_dump_json().encode())

    @classmethod
    def from_value(cls, value: bytes) -> "Member | None":
        """Returns what `to_value` wrote; None for a value of another release."""
        payload = unpack(SCHEMA, value)
        try:
            return None if payload is None else cls.model_validate_json(payload)
        except ValidationError:
            return None


def new_id() -> str:
    """Returns an id for a replica that starts: the machine's name, which operators know, and something random."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"
