"""How many connections each worker has, in memory that all of them share."""

import mmap

_NOT_SERVING = 2**32 - 1


class Shares:
    """How many connections each worker has, in memory that several processes see.

    Args:
        descriptor: of that memory.
        workers: how many there are.
    """

    def __init__(self, descriptor: int, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, workers * 4)).cast("I")

    def set(self, worker: int, connections: int) -> None:
        """Say how many connections a worker has."""
        self._counts[worker] = connections

    def leave_out(self, worker: int) -> None:
        """Say that a worker does not serve."""
        self._counts[worker] = _NOT_SERVING

    def fewest(self) -> int:
        """Of those that serve."""
        return min(self._counts)
