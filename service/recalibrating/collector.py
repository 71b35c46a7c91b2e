"""Rows of the traffic for a re-calibration: as they were answered, and by whom they were sent.

While rows of any version are wanted, requests come by ASGI throughout, since only there it is known who sends them.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, NamedTuple, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from service.access import Guard
from service.catalog.served_version import ServedVersion
from service.http.access import client_address
from service.http.context import current_scope
from service.replicas.interface import Replicas
from service.wire import arrays

Array = NDArray[Any]
Wanted = frozenset[tuple[str, int]]
"""Models and versions."""


class Collected(NamedTuple):
    """The rows of one request.

    Attributes:
        model, version: what has answered it.
        client: who sent it.
        inputs: by name, shape (rows, ...).
    """

    model: str
    version: int
    client: str
    inputs: Mapping[str, Array]

    def to_bytes(self) -> bytes:
        """For another process."""
        return arrays.write({"model": self.model, "version": self.version, "client": self.client}, self.inputs)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """From another process."""
        header, inputs = arrays.read(BytesIO(payload))
        return cls(**header, inputs=inputs)


Take = Callable[[Collected], object]
"""Takes rows; it keeps nobody waiting."""


class Collector:
    """Passes on the rows that are wanted, in one process.

    Args:
        guard: knows the callers.
        take: takes them.
    """

    def __init__(self, guard: Guard, take: Take) -> None:
        self._guard = guard
        self._take = take
        self.wanted: Wanted = frozenset()

    def offer(self, served: ServedVersion, inputs: Mapping[str, Array]) -> None:
        """Pass the rows of a request on, where they are wanted."""
        scope = current_scope.get(None)
        if scope is not None and (served.model, served.version) in self.wanted:
            self._take(
                Collected(
                    served.model,
                    served.version,
                    self._guard.authenticate(scope["headers"], client_address(scope)),
                    inputs,
                )
            )


class Collectors:
    """Those of all processes, for the one that has everything else.

    Args:
        guard: knows the callers.
        replicas: the other processes.

    Attributes:
        own: this process's.
    """

    def __init__(self, guard: Guard, replicas: Replicas) -> None:
        self.own = Collector(guard, self._deliver)
        self._replicas = replicas
        self._take: Take = lambda _rows: None
        replicas.on("collected", self._receive)

    def deliver_to(self, take: Take) -> None:
        """Hand all rows to this."""
        self._take = take

    async def want(self, wanted: Wanted) -> None:
        """Have rows of these versions collected, and of no others. Returns when every process knows."""
        self.own.wanted = wanted
        await self._replicas.publish("collect", orjson.dumps(sorted(wanted)))

    def _deliver(self, rows: Collected) -> None:
        self._take(rows)

    async def _receive(self, payload: bytes) -> bytes:
        self._deliver(Collected.from_bytes(payload))
        return b""


def single(inputs: Mapping[str, Array], row: int) -> dict[str, Array]:
    """A copy of one row."""
    return {name: np.array(values[row]) for name, values in inputs.items()}
