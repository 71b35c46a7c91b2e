"""python -m service.catalog.trial_process: loads versions and runs them once, where a hang or a crash harms nothing.

Standard input has one `Order`; standard output gets an empty line for each version, in order, when it has been tried.
Whether it loaded is not said: the service meets the same error, and reports it. What counts is that this process lives,
and how long it takes. The provider is always the CPU: a device's memory is the service's.
"""

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from models.repository.cache import BundleCache
from models.repository.repository import Repository
from models.runtime.engine import Engine

_NICENESS = 10
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


class Order(BaseModel, defer_build=True):
    """What to try.

    Attributes:
        repository: path of the folder of bundles, or URL of the bucket.
        cache: path of the folder of downloaded bundles, if there is one.
        cache_bytes: most bytes that it has.
        versions: models and versions.
        threads: inside one run.
        service: process id of the service.
    """

    repository: str
    cache: str | None
    cache_bytes: int
    versions: list[tuple[str, int]]
    threads: int
    service: int


def main(order: Order, progress: IO[bytes]) -> None:
    """Try every version."""
    cache = None if order.cache is None else BundleCache(Path(order.cache), order.cache_bytes)
    repository = Repository(order.repository, cache)
    for model, version in order.versions:
        # Whatever it is: only what keeps this process from going on counts.
        with suppress(Exception):
            _try(repository, model, version, order.threads)
        progress.write(b"\n")
        progress.flush()


def _try(repository: Repository, model: str, version: int, threads: int) -> None:
    bundle = repository.read(model, version)
    manifest = bundle.manifest
    for graph in (bundle.folded, bundle.observed):
        if graph is not None:
            Engine(graph, manifest.inputs, threads=threads, run_seconds=inf, batched=manifest.is_batchable)


def _limit_itself(service: int) -> None:
    """Run at low priority, without a core dump, and end with the service."""
    with suppress(OSError, AttributeError):  # other systems have no such call
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != service:
        sys.exit("the service has ended")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    with suppress(OSError):  # not allowed, or no such file
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


if __name__ == "__main__":
    order = Order.model_validate_json(sys.stdin.buffer.read())
    _limit_itself(order.service)
    main(order, sys.stdout.buffer)
    os._exit(0)
