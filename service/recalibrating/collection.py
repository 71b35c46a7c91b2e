"""The rows that one job collects from the traffic."""

import asyncio
from collections.abc import Mapping
from io import BytesIO

import numpy as np

from models.datatypes import Array
from models.rows import count_rows, stack_rows
from service.recalibrating.collector import CollectedRows
from service.recalibrating.job import JobStopped
from service.recalibrating.reservoir import Reservoir, Sample
from service.wire import arrays

_ONE_SIDED = 4
"""Times the rows to keep: after so many, clients that sent no more than their share are not waited for any longer."""


def is_one_sided(kept: int, seen: int, target: int, candidates: int) -> bool:
    """Whether enough rows came, and too few of them may be kept: one client sends almost all.

    Args:
        kept, seen: rows that are kept, and that they were drawn from.
        target, candidates: as of `Collection`.
    """
    return kept < target and seen >= max(candidates, _ONE_SIDED * target)


def require_several_clients(kept: int, seen: int, target: int, candidates: int, per_client: int) -> None:
    """Check that a collection is not one-sided.

    Args:
        kept, seen, target, candidates: as of `is_one_sided`.
        per_client: rows that one client may send.

    Raises:
        JobStopped: it is; the message says what to do.
    """
    if is_one_sided(kept, seen, target, candidates):
        raise JobStopped(
            "refused",
            f"too few clients: {kept} of {target} rows were kept of {seen}, as one client may send at most "
            f"{per_client}; raise 'max_share', or wait for traffic of more clients",
        )


class Collection:
    """A random sample of the rows that a version answers, until it is complete.

    Args:
        model, version: whose rows.
        target: rows to keep.
        candidates: rows to draw them from, at least.
        per_client: rows of one client to keep, at most.
        max_bytes: of all rows that are kept.
    """

    def __init__(
        self, model: str, version: int, *, target: int, candidates: int, per_client: int, max_bytes: int
    ) -> None:
        self.model = model
        self.version = version
        self.target = target
        self.candidates = candidates
        self.per_client = per_client
        self._max_bytes = max_bytes
        self._reservoir: Reservoir[dict[str, Array]] = Reservoir(target, per_client)
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._is_too_large = False
        self._complete = asyncio.Event()

    @property
    def kept(self) -> int:
        """How many rows are kept."""
        return len(self._reservoir)

    @property
    def seen(self) -> int:
        """How many rows they were drawn from."""
        return self._reservoir.seen

    @property
    def is_too_large(self) -> bool:
        """Whether the rows take more memory than they may."""
        return self._is_too_large

    def to_bytes(self) -> bytes:
        """Returns the sample for `merge` in another process."""
        samples = self._reservoir.samples
        header = {
            "seen": self.seen,
            "drawn": [sample.drawn for sample in samples],
            "offered_at": [sample.offered_at for sample in samples],
            "clients": [sample.client for sample in samples],
        }
        return arrays.write(header, stack_rows([sample.row for sample in samples]) if samples else {})

    def merge(self, sample: bytes) -> None:
        """Add the sample of another process, from its `to_bytes`. Rows of another shape are left out.

        Raises:
            ValueError: the bytes are something else.
        """
        header, inputs = arrays.read(BytesIO(sample))
        shapes = {name: values.shape[1:] for name, values in inputs.items()}
        if inputs and self._shapes is None:
            self._shapes = shapes
        rows = (
            [_copy_row(inputs, position) for position in range(len(header["drawn"]))] if shapes == self._shapes else []
        )
        # A replica of an earlier release sends no times: its rows are taken for the first ones.
        times = header.get("offered_at", [0.0] * len(header["drawn"]))
        samples = zip(header["drawn"], times, header["clients"], rows, strict=False)
        self._reservoir.merge(map(Sample._make, samples), header["seen"])

    @property
    def rows(self) -> dict[str, Array]:
        """The rows that are kept, in the order in which they came: by name, shape (kept, ...)."""
        return stack_rows(self._reservoir.rows)

    def add(self, rows: CollectedRows) -> None:
        """Keep or drop each row of a request. The first request decides which shape the rows have."""
        shapes = {name: values.shape[1:] for name, values in rows.inputs.items()}
        if self._shapes is None:
            self._shapes = shapes
            row_bytes = sum(values[:1].nbytes for values in rows.inputs.values())
            self._is_too_large = row_bytes * self.target > self._max_bytes
        if self._is_too_large:
            self._complete.set()
            return
        is_full = self._complete.is_set() and self.kept == self.target
        if is_full or shapes != self._shapes:  # rows of different shapes cannot be stacked
            return
        for position in range(count_rows(rows.inputs)):
            self._reservoir.offer(rows.client, lambda position=position: _copy_row(rows.inputs, position))  # type: ignore[misc]
            if self.kept == self.target and self.seen >= self.candidates:
                self._complete.set()
                return
        if is_one_sided(self.kept, self.seen, self.target, self.candidates):
            self._complete.set()

    async def wait(self, timeout_seconds: float) -> dict[str, Array]:
        """The rows in the order in which they came, once there are enough: by name, shape (target, ...).

        Raises:
            JobStopped: too few came in time, or from too few clients, or they take too much memory.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._complete.wait()
        except TimeoutError:
            reason = f"{self.kept} of {self.target} rows came in {timeout_seconds:g} seconds"
            raise JobStopped("refused", reason) from None
        if self._is_too_large:
            raise JobStopped("refused", f"{self.target} rows take more than {self._max_bytes} bytes")
        require_several_clients(self.kept, self.seen, self.target, self.candidates, self.per_client)
        return self.rows


def _copy_row(inputs: Mapping[str, Array], position: int) -> dict[str, Array]:
    return {name: np.array(values[position]) for name, values in inputs.items()}
