"""The queues of all models: which model runs next, and which request gives up its place when too many wait.

The models take turns by the seconds that their runs take, so that a slow model gets no more of the threads than a fast
one. When the queues are full, the model whose requests are expected to take longest gives up a place: of its lowest
priority, the youngest request of the client that has most waiting. So neither a model nor a client can fill the queues
while others need them.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.queue import ModelQueue, QueuedRequest
from service.inference.turns import RoundRobin

_TURN_SECONDS = 0.01
"""What a model gets in one turn, where others wait as well. One run may take longer: its model then skips turns."""


class Scheduler:
    """Waiting requests of all models, for one event loop.

    Args:
        capacity: requests that may wait or run at the same time.
        concurrency: runs at the same time.

    Attributes:
        running: requests in a run.
    """

    def __init__(self, capacity: int, concurrency: int) -> None:
        self._capacity = capacity
        self._concurrency = concurrency
        self._queues: defaultdict[str, ModelQueue] = defaultdict(ModelQueue)
        self._turns: RoundRobin[ModelQueue] = RoundRobin(_TURN_SECONDS)
        self._size = 0
        self.running = 0

    def __len__(self) -> int:
        return self._size

    @property
    def is_full(self) -> bool:
        """Whether a further request gets a place only if another one gives up its own."""
        return self._size + self.running >= self._capacity

    def push(self, served: ServedVersion, inputs: Mapping[str, Array], client: str, priority: int) -> QueuedRequest:
        """Add a request. A priority of 0 is the lowest."""
        queue = self._queues[served.model]
        request = queue.push(served, inputs, client, priority)
        self._turns.add(queue)
        self._size += 1
        return request

    def discard(self, request: QueuedRequest) -> None:
        """Take a request out that nobody waits for, if it is still in the queue."""
        if request.is_queued:
            queue = self._queues[request.served.model]
            queue.remove(request)
            self._left(queue, 1)

    def next_queue(self, is_due: Callable[[ModelQueue], bool]) -> ModelQueue | None:
        """Returns the queue whose turn it is, of those that are due; None where there is none."""
        return self._turns.first(is_due)

    def take_batch(self, queue: ModelQueue, max_rows: int) -> list[QueuedRequest]:
        """Take out the first request of a queue, and those that share its run, up to a number of rows."""
        batch = queue.take_batch(max_rows)
        self._left(queue, len(batch))
        self._turns.charge(queue, _expected_seconds(batch))
        self.running += len(batch)
        return batch

    def finish(self, batch: list[QueuedRequest], seconds: float) -> None:
        """Account for a batch that has run.

        Args:
            batch: from `take_batch`.
            seconds: that its runs have taken.
        """
        queue = self._queues[batch[0].served.model]
        self.running -= len(batch)
        self._turns.charge(queue, seconds - _expected_seconds(batch))
        if seconds:
            queue.learn(sum(request.rows for request in batch), seconds)

    def choose_evicted(self, model: str, client: str, priority: int) -> QueuedRequest | None:
        """Returns the request that gives up its place to another one; None where that has less right to a place.

        Another model gives one up only if it then still has more waiting than this one: by the expected seconds.
        """
        own = self._queues[model]
        largest = max(self._turns, key=_seconds_without_last, default=None)
        if largest is None:
            return None
        if largest is not own and _seconds_without_last(largest) > own.seconds:
            return largest.last
        return own.choose_evicted(client, priority) if own else None

    def expected_wait(self, model: str) -> float:
        """Seconds until what waits for this model has run, where all models that wait take turns."""
        shared = self._queues[model].seconds * len(self._turns)
        return min(shared, sum(queue.seconds for queue in self._turns)) / self._concurrency

    def _left(self, queue: ModelQueue, requests: int) -> None:
        self._size -= requests
        if not queue:
            self._turns.remove(queue)


def _seconds_without_last(queue: ModelQueue) -> float:
    return queue.seconds - queue.last.seconds


def _expected_seconds(batch: list[QueuedRequest]) -> float:
    return sum(request.seconds for request in batch)
