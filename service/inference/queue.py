"""Requests of one model that wait for their run: by priority, in turn of their clients, and which can share a run.

Only requests that the graph could not tell apart are joined: of one version, with equal types and shapes of a row.
Adding, removing and taking a request take constant time, however many wait and from however many clients.
"""

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from time import monotonic

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.turns import RoundRobin

Outputs = Mapping[str, Array]

LOWEST_PRIORITY = 2**32

_TURN_ROWS = 32.0
"""Rows that a client gets in one turn, where others wait as well."""

_UNKNOWN_SECONDS = 0.01
"""Expected of one row of a model that could not be measured when it was loaded."""

_WEIGHT_OF_LAST = 0.2
"""Of the last run in the running average of seconds a row."""


@dataclass(eq=False)
class QueuedRequest:
    """A request in the queue.

    Attributes:
        served: what runs.
        inputs: by name.
        client: the identity of who sent it.
        priority: 1 is the highest.
        rows: number of rows of the inputs.
        seconds: how long its run is expected to take.
        batch_key: equal for requests that can share a run; None for one that cannot.
        future: gets the outputs, or the error.
        arrived: on the clock of `monotonic`, seconds.
        began: when it was taken for its run, on the same clock; infinite before that.
        is_queued: whether it has not been taken out of the queue.
    """

    served: ServedVersion
    inputs: Mapping[str, Array]
    client: str
    priority: int
    rows: int
    seconds: float
    batch_key: object
    future: "asyncio.Future[Outputs]"
    arrived: float
    began: float = inf
    is_queued: bool = True

    def fail(self, error: Exception) -> None:
        """Answer the request with an error, if it still waits in the queue."""
        if self.is_queued and not self.future.done():
            self.future.set_exception(error)


class ModelQueue:
    """Waiting requests of one model.

    Attributes:
        balance: of its turns among the models, in seconds.
        seconds: how long the runs of all that wait are expected to take.
    """

    def __init__(self) -> None:
        self.balance = 0.0
        self.seconds = 0.0
        self._levels: dict[int, _Level] = {}
        self._joinable_rows: Counter[object] = Counter()
        self._seconds_per_row: float | None = None
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def first(self) -> QueuedRequest:
        """The request that runs next."""
        return self._levels[min(self._levels)].first

    @property
    def last(self) -> QueuedRequest:
        """The request that gives up its place first: of the lowest priority, the youngest of who has most waiting."""
        return self._levels[max(self._levels)].last

    def push(self, served: ServedVersion, inputs: Mapping[str, Array], client: str, priority: int) -> QueuedRequest:
        """Add a request. A priority of 0 is the lowest."""
        rows = served.count_rows(inputs)
        if self._seconds_per_row is None:
            measured = served.engine.expected_seconds(1)
            self._seconds_per_row = measured if isfinite(measured) else _UNKNOWN_SECONDS
        request = QueuedRequest(
            served,
            inputs,
            client,
            priority or LOWEST_PRIORITY,
            rows,
            self.expected_seconds(rows),
            batch_key(served, inputs),
            asyncio.get_running_loop().create_future(),
            monotonic(),
        )
        self._levels.setdefault(request.priority, _Level()).add(request)
        self._joinable_rows[request.batch_key] += rows
        self._size += 1
        self.seconds += request.seconds
        return request

    def remove(self, request: QueuedRequest) -> None:
        """Take out a request that waits here."""
        level = self._levels[request.priority]
        level.remove(request)
        if not level:
            del self._levels[request.priority]
        self._left(request)

    def joinable_rows(self) -> int:
        """Rows of all requests that could share a run with the first one, its own among them."""
        return self._joinable_rows[self.first.batch_key]

    def take_batch(self, max_rows: int) -> list[QueuedRequest]:
        """Take out the first request, and those after it that can share its run, up to a number of rows."""
        first = self.first
        left = max_rows - first.rows
        batch: list[QueuedRequest] = []
        for priority in sorted(self._levels):
            level = self._levels[priority]
            if not batch:
                level.take(first)
                batch.append(first)
            joined = level.take_joinable(first.batch_key, left)
            left -= sum(request.rows for request in joined)
            batch += joined
            if not level:
                del self._levels[priority]
            if left <= 0:
                break
        now = monotonic()
        for request in batch:
            self._left(request)
            request.began = now
        return batch

    def choose_evicted(self, client: str, priority: int) -> QueuedRequest | None:
        """Returns the request that gives up its place to another one; None where that has less right to it.

        Args:
            client: who sends the other one.
            priority: of the other one. 0 is the lowest.
        """
        lowest, wanted = max(self._levels), priority or LOWEST_PRIORITY
        level = self._levels[lowest]
        if wanted > lowest or (wanted == lowest and level.most_waiting <= level.waiting(client) + 1):
            return None
        return level.last

    def expected_seconds(self, rows: int) -> float:
        """How long a run of this many rows is expected to take."""
        return max(rows, 1) * (self._seconds_per_row or 0.0)

    def learn(self, rows: int, seconds: float) -> None:
        """Correct what is expected by a run."""
        last = seconds / max(rows, 1)
        expected = last if self._seconds_per_row is None else self._seconds_per_row
        self._seconds_per_row = expected + _WEIGHT_OF_LAST * (last - expected)

    def _left(self, request: QueuedRequest) -> None:
        request.is_queued = False
        self._size -= 1
        self.seconds = self.seconds - request.seconds if self._size else 0.0  # floats do not add up to zero
        self._joinable_rows[request.batch_key] -= request.rows
        if not self._joinable_rows[request.batch_key]:
            del self._joinable_rows[request.batch_key]


@dataclass(eq=False)
class _Client:
    """Waiting requests of one client with one priority, oldest first: all, and by what they can be joined with."""

    name: str
    balance: float = 0.0
    requests: "OrderedDict[QueuedRequest, None]" = field(default_factory=OrderedDict)
    joinable: "defaultdict[object, OrderedDict[QueuedRequest, None]]" = field(
        default_factory=lambda: defaultdict(OrderedDict)
    )


class _Level:
    """Waiting requests with one priority. The clients take turns, by rows."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._turns: RoundRobin[_Client] = RoundRobin(_TURN_ROWS)
        self._joinable: defaultdict[object, OrderedDict[str, _Client]] = defaultdict(OrderedDict)
        self._by_size: defaultdict[int, OrderedDict[str, _Client]] = defaultdict(OrderedDict)
        self.most_waiting = 0

    def __bool__(self) -> bool:
        return bool(self._clients)

    @property
    def first(self) -> QueuedRequest:
        client = self._turns.first()
        assert client is not None  # noqa: S101 - a level without a client is deleted
        return next(iter(client.requests))

    @property
    def last(self) -> QueuedRequest:
        client = next(iter(self._by_size[self.most_waiting].values()))
        return next(reversed(client.requests))

    def waiting(self, client: str) -> int:
        return len(self._clients[client].requests) if client in self._clients else 0

    def add(self, request: QueuedRequest) -> None:
        client = self._clients.setdefault(request.client, _Client(request.client))
        before = len(client.requests)
        client.requests[request] = None
        if request.batch_key is not None:
            client.joinable[request.batch_key][request] = None
            self._joinable[request.batch_key][client.name] = client
        self._turns.add(client)
        self._resize(client, before)

    def remove(self, request: QueuedRequest) -> None:
        client = self._clients[request.client]
        before = len(client.requests)
        del client.requests[request]
        if request.batch_key is not None:
            del client.joinable[request.batch_key][request]
            if not client.joinable[request.batch_key]:
                del client.joinable[request.batch_key]
                del self._joinable[request.batch_key][client.name]
                if not self._joinable[request.batch_key]:
                    del self._joinable[request.batch_key]
        if not client.requests:
            del self._clients[client.name]
            self._turns.remove(client)
        self._resize(client, before)

    def take(self, request: QueuedRequest) -> None:
        """Remove a request that is to run."""
        self._turns.charge(self._clients[request.client], max(request.rows, 1))
        if request.batch_key is not None:
            self._joinable[request.batch_key].move_to_end(request.client)
        self.remove(request)

    def take_joinable(self, batch_key: object, max_rows: int) -> list[QueuedRequest]:
        """Remove requests that can share a run, in turn of their clients, until the next one has too many rows."""
        taken: list[QueuedRequest] = []
        clients = self._joinable.get(batch_key, OrderedDict())
        while clients:
            client = next(iter(clients.values()))
            request = next(iter(client.joinable[batch_key]))
            if request.rows > max_rows:
                break
            self.take(request)
            taken.append(request)
            max_rows -= request.rows
        return taken

    def _resize(self, client: _Client, before: int) -> None:
        """Keep the clients by their number of requests, after one was added or removed."""
        now = len(client.requests)
        if before:
            del self._by_size[before][client.name]
            if not self._by_size[before]:
                del self._by_size[before]
        if now:
            self._by_size[now][client.name] = client
        if now > self.most_waiting or self.most_waiting not in self._by_size:
            self.most_waiting = now


def batch_key(served: ServedVersion, inputs: Mapping[str, Array]) -> object:
    """What is equal for requests that can share a run; None for one that cannot."""
    if not (served.is_batchable and served.engine.is_row_wise):
        return None
    if len(inputs) == 1:  # as of most models
        [(name, array)] = inputs.items()
        return id(served), name, array.dtype, array.shape[1:]
    return id(served), *((name, inputs[name].dtype, inputs[name].shape[1:]) for name in sorted(inputs))
