"""Collects rows of the traffic for re-calibrations: those of the requests that certain versions have answered."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from models.datatypes import Array
from service.catalog.served_version import ServedVersion

CollectTargets = frozenset[tuple[str, int]]
"""The models and versions whose rows are collected."""


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


OnRows = Callable[[CollectedRows], object]
"""Receives rows; must not block."""


class RowCollector:
    """Collects the rows of this process.

    Attributes:
        targets: which versions' rows to collect.
        on_rows: receives the rows of each request that one of these has answered.
    """

    def __init__(self) -> None:
        self.targets: CollectTargets = frozenset()
        self.on_rows: OnRows = lambda _rows: None

    def offer(self, served: ServedVersion, inputs: Mapping[str, Array], client: str) -> None:
        """Collect the rows of a request if its version is a target.

        Args:
            served: the version that has answered the request.
            inputs: by name, shape (rows, ...).
            client: who has sent the request.
        """
        if (served.model, served.version) in self.targets:
            self.on_rows(CollectedRows(served.model, served.version, client, inputs))
