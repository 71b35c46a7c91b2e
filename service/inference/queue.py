"""Requests that wait for their run, by priority, and which of them can share it.

Only requests that the graph could not tell apart are joined: of one version, with equal types and shapes of a row.
"""

import asyncio
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from time import monotonic

from models.datatypes import Array
from service.catalog.served_version import ServedVersion

Outputs = Mapping[str, Array]

LOWEST_PRIORITY = 2**32


@dataclass(order=True)
class QueuedRequest:
    """A request in the queue, ordered by priority, then by arrival.

    Attributes:
        priority: 1 is the highest.
        order: of its arrival.
        served: what runs.
        inputs: by name.
        rows: number of rows of the inputs.
        batch_key: equal for requests that can share a run; None for one that cannot.
        future: gets the outputs, or the error.
        arrived: on the clock of `monotonic`, seconds.
        is_queued: whether it has not been taken out of the queue.
        queued_seconds: how long it was in the queue.
    """

    priority: int
    order: int
    served: ServedVersion = field(compare=False)
    inputs: Mapping[str, Array] = field(compare=False)
    rows: int = field(compare=False)
    batch_key: object = field(compare=False)
    future: "asyncio.Future[Outputs]" = field(compare=False)
    arrived: float = field(compare=False)
    is_queued: bool = field(compare=False, default=True)
    queued_seconds: float = field(compare=False, default=0.0)

    def fail(self, error: Exception) -> None:
        """Answer the request with an error, if it still waits in the queue."""
        if self.is_queued and not self.future.done():
            self.future.set_exception(error)


class RequestQueue:
    """Waiting requests, for one event loop."""

    def __init__(self) -> None:
        self._heap: list[QueuedRequest] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def first(self) -> QueuedRequest:
        """The request that runs next."""
        return self._heap[0]

    def push(self, served: ServedVersion, inputs: Mapping[str, Array], priority: int) -> QueuedRequest:
        """Add a request. A priority of 0 is the lowest."""
        request = QueuedRequest(
            priority or LOWEST_PRIORITY,
            next(self._order),
            served,
            inputs,
            served.count_rows(inputs),
            _batch_key(served, inputs),
            asyncio.get_running_loop().create_future(),
            monotonic(),
        )
        heapq.heappush(self._heap, request)
        return request

    def discard(self, request: QueuedRequest) -> None:
        """Take a request out that nobody waits for, if it is still in the queue."""
        if request.is_queued:
            request.is_queued = False
            self._heap.remove(request)
            heapq.heapify(self._heap)

    def joinable_rows(self) -> int:
        """Rows of all requests that could share a run with the first one, its own among them."""
        first = self._heap[0]
        return sum(request.rows for request in self._heap if request.batch_key == first.batch_key)

    def take_batch(self, max_rows: int) -> list[QueuedRequest]:
        """Take out the first request, and those after it that can share its run, up to a number of rows."""
        first = heapq.heappop(self._heap)
        batch, rows, left = [first], first.rows, []
        while self._heap:
            request = heapq.heappop(self._heap)
            joins = request.batch_key is not None and request.batch_key == first.batch_key
            if joins and rows + request.rows <= max_rows:
                batch.append(request)
                rows += request.rows
            else:
                left.append(request)
        self._heap = left  # popped in order, so still a heap
        now = monotonic()
        for request in batch:
            request.is_queued = False
            request.queued_seconds = now - request.arrived
        return batch


def _batch_key(served: ServedVersion, inputs: Mapping[str, Array]) -> object:
    if not served.is_batchable:
        return None
    return id(served), *((name, inputs[name].dtype, inputs[name].shape[1:]) for name in sorted(inputs))
