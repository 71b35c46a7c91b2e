"""The replicas that share the port of one machine: processes and connections, as each of them sees them."""

import mmap
from typing import NamedTuple

_NOT_SERVING = 2**32 - 1


class WorkerTable:
    """Process id and open connections of each worker, and how many have died: in memory that their processes share.

    Args:
        descriptor: of that memory, of `size` bytes.
        workers: how many there are.
    """

    def __init__(self, descriptor: int, workers: int) -> None:
        self._workers = workers
        table = memoryview(mmap.mmap(descriptor, self.size(workers))).cast("I")
        self._connections, self._pids, self._died = table[:workers], table[workers:-1], table[-1:]

    @staticmethod
    def size(workers: int) -> int:
        """Returns the bytes of the memory for some workers."""
        return 4 * (2 * workers + 1)

    def set_started(self, worker: int, pid: int) -> None:
        """Note the process of a worker, which does not serve yet."""
        self._connections[worker] = _NOT_SERVING
        self._pids[worker] = pid

    def set_ended(self, worker: int, *, died: bool) -> None:
        """Note that a worker has no process."""
        self._connections[worker] = _NOT_SERVING
        self._pids[worker] = 0
        self._died[0] += died

    def set_connections(self, worker: int, connections: int) -> None:
        """Set the number of connections of a worker that serves."""
        self._connections[worker] = connections

    @property
    def fewest_connections(self) -> int:
        """The smallest number among the workers that serve."""
        return min(self._connections)

    @property
    def serving(self) -> int:
        """How many workers accept connections."""
        return sum(connections != _NOT_SERVING for connections in self._connections)

    @property
    def died(self) -> int:
        """How many workers have died."""
        return self._died[0]

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [pid for pid in self._pids if pid]


class WorkerGroup(NamedTuple):
    """A worker's place among those that share a port.

    Attributes:
        id: of the group: another one whenever the service is started.
        number: of this worker, from 0.
        table: of all workers.
        address: URL at which the others reach this one, since they share the port.
    """

    id: str
    number: int
    table: WorkerTable
    address: str
