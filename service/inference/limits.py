"""How much may run, wait and be joined at a time."""

from typing import NamedTuple

from models.manifest import Batching


class Limits(NamedTuple):
    """Bounds of a batcher.

    Attributes:
        concurrency: runs in threads at the same time.
        max_pending: requests that may wait or run in threads; more are refused at once.
        max_batch_rows: rows of a batch; a request that has more rows runs by itself.
        batch_wait: seconds that a batch which is not full may wait while another one runs.
        inline: seconds; runs that are expected to be shorter are done on the event loop.
    """

    concurrency: int = 1
    max_pending: int = 256
    max_batch_rows: int = 32
    batch_wait: float = 0.0
    inline: float = 0.001

    def for_model(self, batching: Batching | None) -> "Limits":
        """These limits with what the manifest of one model says in their place."""
        if batching is None:
            return self
        rows, wait, inline = batching.max_batch_rows, batching.batch_wait_ms, batching.inline_ms
        return self._replace(
            max_batch_rows=self.max_batch_rows if rows is None else rows,
            batch_wait=self.batch_wait if wait is None else wait / 1e3,
            inline=self.inline if inline is None else inline / 1e3,
        )
