"""Collects rows of the traffic for re-calibrations, in every process that answers predictions.

The process that runs the jobs publishes which versions' rows to collect; every process sends it the rows of the
requests that those versions have answered.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import NamedTuple, Self

import orjson

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.replicas.interface import Replicas
from service.wire import arrays

CollectTargets = frozenset[tuple[str, int]]
"""The models and versions whose rows are collected."""

TARGETS_MESSAGE = "collect_targets"
ROWS_MESSAGE = "collected_rows"
"""Kinds of messages between the processes."""


class CollectedRows(NamedTuple):
    """The rows of one request.

    Attributes:
        model, version: which version has answered it.
        client: who has sent it.
        inputs: by name, shape (rows, ...).
    """

    model: str
    version: int
    client: str
    inputs: Mapping[str, Array]

    def to_bytes(self) -> bytes:
        """Encode for another process."""
        return arrays.write({"model": self.model, "version": self.version, "client": self.client}, self.inputs)

    @classmethod
    def from_bytes(cls, payload: bytes) -> Self:
        """Decode what another process has encoded."""
        header, inputs = arrays.read(BytesIO(payload))
        return cls(**header, inputs=inputs)


OnRows = Callable[[CollectedRows], object]
"""Receives rows; must not block."""


class RowCollector:
    """Collects the rows of one process.

    Args:
        on_rows: receives the rows of each request that a target version has answered.

    Attributes:
        targets: which versions' rows to collect.
    """

    def __init__(self, on_rows: OnRows) -> None:
        self.targets: CollectTargets = frozenset()
        self._on_rows = on_rows

    def offer(self, served: ServedVersion, inputs: Mapping[str, Array], client: str) -> None:
        """Collect the rows of a request if its version is a target.

        Args:
            served: the version that has answered the request.
            inputs: by name, shape (rows, ...).
            client: who has sent the request.
        """
        if (served.model, served.version) in self.targets:
            self._on_rows(CollectedRows(served.model, served.version, client, inputs))

    async def apply_targets(self, payload: bytes) -> bytes:
        """Collect what `RowCollectors.set_targets` has published. Handles `TARGETS_MESSAGE`."""
        self.targets = frozenset((model, version) for model, version in orjson.loads(payload))
        return b""


class RowCollectors:
    """The collectors of all processes, as the process that runs the jobs uses them.

    Args:
        replicas: the other processes.

    Attributes:
        local: the collector of this process.
    """

    def __init__(self, replicas: Replicas) -> None:
        self.local = RowCollector(self._deliver)
        self._replicas = replicas
        self._on_rows: OnRows = lambda _rows: None
        replicas.on(ROWS_MESSAGE, self._receive)

    def on_rows(self, receive: OnRows) -> None:
        """Have the rows of all processes delivered to `receive`."""
        self._on_rows = receive

    async def set_targets(self, targets: CollectTargets) -> None:
        """Collect the rows of these versions and of no others. Returns when every process does."""
        self.local.targets = targets
        await self._replicas.publish(TARGETS_MESSAGE, orjson.dumps(sorted(targets)))

    def _deliver(self, rows: CollectedRows) -> None:
        self._on_rows(rows)

    async def _receive(self, payload: bytes) -> bytes:
        self._deliver(CollectedRows.from_bytes(payload))
        return b""
