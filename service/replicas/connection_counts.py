"""How many connections each worker has, in memory that all of them share."""

import mmap

_NOT_SERVING = 2**32 - 1


class ConnectionCounts:
    """Open connections of each worker, in memory that several processes share.

    Args:
        descriptor: of that memory.
        workers: how many there are.
    """

    def __init__(self, descriptor: int, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, workers * 4)).cast("I")

    def set(self, worker: int, connections: int) -> None:
        """Set the number of connections of a worker."""
        self._counts[worker] = connections

    def set_not_serving(self, worker: int) -> None:
        """Leave a worker out of `fewest`, until its number is set again."""
        self._counts[worker] = _NOT_SERVING

    def fewest(self) -> int:
        """The smallest number among the workers that serve."""
        return min(self._counts)
