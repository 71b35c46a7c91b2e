"""How unusual the rows of a request are to the layers: the observed graph runs for that request alone, in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from models.capabilities import unavailable
from models.errors import InvalidInput, NotReady, Overloaded
from service.catalog.served_version import ServedVersion
from service.inference.dialect import Dialect, Query
from service.inference.queue import Outputs
from service.watching.observed_models import ObservedModels

MAX_WAITING = 64
"""Requests that may wait for scores at the same time."""

_THREADS = 2

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Scorer:
    """Scores rows in threads of its own, for one event loop.

    Args:
        observed_models: of the served versions.
    """

    def __init__(self, observed_models: ObservedModels) -> None:
        self._observed_models = observed_models
        self._waiting = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="score")

    async def score(self, dialect: Dialect, served: ServedVersion, query: Query) -> Outputs | None:
        """Returns the scores of the rows of a request; None where there are none and the dialect does without.

        Raises:
            Overloaded: too many requests wait for scores.
            InvalidInput: the version has none.
            NotReady: its observed graph could not be loaded.
            InferenceFailed: the runtime failed on these inputs.
        """
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} requests wait for layer statistics already: try again later")
        self._waiting += 1
        try:
            observed = await self._run(self._observed_models.scorer, served)
            if observed is not None:
                return await self._run(dialect.score, observed, query.inputs)
        finally:
            self._waiting -= 1
        if dialect.requires_scores:
            if reason := unavailable(served.manifest).get("layer_statistics"):
                raise InvalidInput(reason, "parameters.layer_statistics")
            raise NotReady("the graph that layer statistics come from could not be loaded; the log says why")
        return None

    def close(self) -> None:
        """Score nothing more."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        context = copy_context()  # the log has the id of the request
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: context.run(function, *args, **kwargs)
        )
