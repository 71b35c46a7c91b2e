"""How much may run, wait and be joined at a time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a batcher.

    Attributes:
        concurrency: runs in threads at the same time.
        max_pending: requests that may wait or run in threads; more are refused at once.
        max_batch_rows: rows of a batch; a request that has more by itself is run by itself.
        batch_wait: seconds that a batch which is not full may wait while another one runs.
        inline: seconds; runs expected to be shorter are done on the event loop.
    """

    concurrency: int = 1
    max_pending: int = 256
    max_batch_rows: int = 32
    batch_wait: float = 0.0
    inline: float = 0.001
