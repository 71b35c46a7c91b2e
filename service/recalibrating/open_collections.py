"""The collections of all jobs that collect rows in this process."""

from collections.abc import Mapping

from models.datatypes import Array
from models.errors import InvalidInput, NotFound
from service.recalibrating.collection import Collection
from service.recalibrating.collector import CollectedRows, RowCollector
from service.recalibrating.job import Job
from service.wire.recalibration import RecalibrationRequest

MAX_SHARE_OF_A_KEY = 0.25
"""Of the collected rows, where clients have API keys. Crafted rows that are half of all keep every shift from
being mended, a quarter of all half of them (docs/recalibration.md)."""


class OpenCollections:
    """Collects rows of the traffic for jobs, each from the version that it names.

    Args:
        collector: of the rows of this process.
        max_bytes: of the rows that one job collects.
        has_api_keys: whether clients are identified by API keys, rather than only by their addresses.
    """

    def __init__(self, collector: RowCollector, max_bytes: int, *, has_api_keys: bool = False) -> None:
        self._collector = collector
        self._max_bytes = max_bytes
        self._max_share = MAX_SHARE_OF_A_KEY if has_api_keys else 1.0
        self._open: dict[str, Collection] = {}
        collector.on_rows = self._add_rows

    def open(self, job: Job, request: RecalibrationRequest) -> None:
        """Open the collection of a job.

        Raises:
            InvalidInput: another job collects rows of this version.
        """
        for collection in self._open.values():
            if (job.model, job.collected_version) == (collection.model, collection.version):
                raise InvalidInput("rows of this version are being collected already", "collect")
        max_share = request.parameters.max_share or self._max_share
        self._open[job.id] = Collection(
            job.model,
            job.collected_version,
            target=request.collect,
            candidates=request.collect * request.parameters.spread,
            per_client=max(int(max_share * request.collect), 1),
            max_bytes=self._max_bytes,
        )

    async def wait(self, job: Job, timeout_seconds: float) -> tuple[Mapping[str, Array], int]:
        """The rows of a job once there are enough, by name, and of how many they were drawn.

        Raises:
            JobStopped: too few came in time, or from too few clients, or they take too much memory.
        """
        collection = self._open[job.id]
        try:
            self._set_targets(self._open)
            return await collection.wait(timeout_seconds), collection.seen
        finally:
            del self._open[job.id]
            self._set_targets(self._open)

    def count(self, job: Job) -> tuple[int, int] | None:
        """Rows that are kept for a job, and those they were drawn from; None if it does not collect now."""
        collection = self._open.get(job.id)
        return None if collection is None else (collection.kept, collection.seen)

    def sample(self, job_id: str) -> bytes:
        """Returns the rows that this replica has collected for a job of another one.

        Raises:
            NotFound: it collects none.
        """
        raise NotFound(f"no rows are collected here for job '{job_id}'")

    def _add_rows(self, rows: CollectedRows) -> None:
        for collection in self._open.values():
            if (rows.model, rows.version) == (collection.model, collection.version):
                collection.add(rows)

    def _set_targets(self, collections: Mapping[str, Collection]) -> None:
        self._collector.targets = frozenset((one.model, one.version) for one in collections.values())
