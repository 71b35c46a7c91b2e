"""Spans of what the batcher does."""

import asyncio
from time import time_ns
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from models.errors import Overloaded
from service.inference.limits import Limits
from service.inference.tracing import TracedBatcher
from service.telemetry.statistics import ServiceStatistics
from tests.awaiting import within_time
from tests.service.inference.test_batcher import BAD, FakeEngine, row, serve
from tests.service.tracing import exporting


class Traces:
    """Requests to one batcher, and their spans."""

    def __init__(self) -> None:
        self._exporter, provider = exporting()
        self._tracer = provider.get_tracer("test")
        limits = Limits(concurrency=1, inline=0.0, max_batch_rows=1)
        self._batcher = TracedBatcher(self._tracer, ServiceStatistics(), limits, lambda *_: None)
        self.engine = FakeEngine()

    async def request(self, name: str, value: float = 0.0, **options: Any) -> None:
        with self._tracer.start_as_current_span(name, record_exception=False):
            await self._batcher.run(serve(self.engine), row(value), **options)

    def steps(self, name: str) -> dict[str, ReadableSpan]:
        """The spans below that of a request, by name."""
        spans = self._exporter.get_finished_spans()
        (root,) = (span for span in spans if span.name == name)
        assert root.context is not None
        return {span.name: span for span in spans if span.parent and span.parent.span_id == root.context.span_id}


def times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time
    return span.start_time, span.end_time


def error_type(span: ReadableSpan) -> object:
    assert span.attributes is not None
    return span.attributes.get("error.type")


def test_a_request_waits_until_a_thread_takes_it_and_then_runs() -> None:
    traces = Traces()

    async def scenario() -> int:
        async with asyncio.TaskGroup() as group:
            group.create_task(traces.request("first"))
            group.create_task(traces.request("second"))
            await asyncio.sleep(0)
            opened = time_ns()
            traces.engine.gate.set()
        return opened

    opened = asyncio.run(within_time(scenario(), "the requests were not answered"))

    first, second = traces.steps("first"), traces.steps("second")
    assert list(first) == list(second) == ["queue", "run"]
    assert times(first["queue"])[1] == times(first["run"])[0] <= opened <= times(first["run"])[1]
    assert times(second["queue"])[0] <= opened <= times(second["queue"])[1] == times(second["run"])[0]


def test_a_request_that_is_refused_has_no_run() -> None:
    traces = Traces()

    async def scenario() -> None:
        running = asyncio.create_task(traces.request("running"))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await traces.request("late", timeout=0.0)
        traces.engine.gate.set()
        await running

    asyncio.run(within_time(scenario(), "the requests were not answered"))

    steps = traces.steps("late")
    assert list(steps) == ["queue"]
    assert error_type(steps["queue"]) == "Overloaded"


def test_a_run_that_fails_says_so() -> None:
    traces = Traces()
    traces.engine.gate.set()

    with pytest.raises(Exception, match="broken"):
        asyncio.run(within_time(traces.request("bad", BAD), "the request was not answered"))

    steps = traces.steps("bad")
    assert [error_type(step) for step in steps.values()] == [None, "InferenceFailed"]
