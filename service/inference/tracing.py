"""Spans of a prediction, below that of its request: decode, queue, run, encode."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from time import monotonic, time_ns

from opentelemetry.trace import Tracer

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.batcher import Batcher
from service.inference.dialect import Answer, Call, Dialect, Query, RowScores
from service.inference.limits import Limits
from service.inference.queue import Outputs, QueuedRequest
from service.inference.short_runs import OnResult, Outcome
from service.telemetry.statistics import ServiceStatistics
from service.telemetry.tracing import add_step, step


class TracedBatcher(Batcher):
    """Runs models as `Batcher`, with spans of each request's run and of the wait for it.

    Args:
        tracer: makes the spans.
        statistics, limits, on_result: of the batcher.
    """

    def __init__(self, tracer: Tracer, statistics: ServiceStatistics, limits: Limits, on_result: OnResult) -> None:
        super().__init__(statistics, limits, on_result)
        self._tracer = tracer

    def submit(
        self,
        served: ServedVersion,
        inputs: Mapping[str, Array],
        client: str,
        on_outcome: Callable[[Outcome], None],
    ) -> bool:
        """Run a model as `Batcher.submit`. The span begins here: what it is joined with is decoded meanwhile."""
        began, context = time_ns(), copy_context()

        def add_span(outcome: Outcome) -> None:
            if outcome is not None:
                error = outcome if isinstance(outcome, Exception) else None
                add_step(self._tracer, "run", began, time_ns(), _attributes(served, inputs), error)
            on_outcome(outcome)

        return super().submit(served, inputs, client, lambda outcome: context.run(add_span, outcome))

    async def run_queued(
        self,
        request: QueuedRequest,
        disconnected: Callable[[], Awaitable[None]] | None,
        timeout: float | None,  # noqa: ASYNC109 - as in `Batcher`
    ) -> Outputs:
        """All outputs of a model, by name, as `Batcher.run_queued`."""
        try:
            outputs = await super().run_queued(request, disconnected, timeout)
        except BaseException as error:
            self._add_steps(request, error)
            raise
        self._add_steps(request, None)
        return outputs

    def _add_steps(self, request: QueuedRequest, error: BaseException | None) -> None:
        """Add the spans of a request that has been answered. One that was never run has no `run`."""
        ended, now = time_ns(), monotonic()
        has_run = request.began <= now
        arrived, began = (ended - round((now - time) * 1e9) for time in (request.arrived, min(request.began, now)))
        attributes = _attributes(request.served, request.inputs)
        add_step(self._tracer, "queue", arrived, began, attributes, None if has_run else error)
        if has_run:
            add_step(self._tracer, "run", began, ended, attributes, error)


class TracedDialect:
    """A dialect whose decoding and encoding are spans.

    Args:
        tracer: makes the spans.
        dialect: reads and writes.
    """

    def __init__(self, tracer: Tracer, dialect: Dialect) -> None:
        self._tracer = tracer
        self._dialect = dialect
        self.decoding_memory = dialect.decoding_memory
        self.requires_scores = dialect.requires_scores
        self.may_have_priority = dialect.may_have_priority
        self.has_priority = dialect.has_priority

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a body."""
        with step(self._tracer, "decode", **{"denge.bytes": len(body)}):
            return self._dialect.decode(served, call, body)

    def score(self, observed: RowScores, inputs: Mapping[str, Array]) -> Outputs:
        """How unusual each row is."""
        return self._dialect.score(observed, inputs)

    def encode(
        self, served: ServedVersion, call: Call, query: Query, outputs: Outputs, scores: Outputs | None
    ) -> Answer:
        """Write an answer."""
        with step(self._tracer, "encode"):
            return self._dialect.encode(served, call, query, outputs, scores)


def _attributes(served: ServedVersion, inputs: Mapping[str, Array]) -> dict[str, str | int]:
    return {
        "denge.model": served.model,
        "denge.version": served.version,
        "denge.rows": served.count_rows(inputs),
    }
