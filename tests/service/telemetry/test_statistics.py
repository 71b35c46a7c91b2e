"""Statistics of several processes add up, and survive the way between them."""

from collections import Counter, defaultdict
from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.durations import DurationHistogram
from service.telemetry.effort import Effort
from service.telemetry.statistics import MAX_BATCH_SIZES, ServiceStatistics, ShadowComparison, VersionStatistics

SECONDS = st.floats(0, 20)
RUNS = st.tuples(st.sampled_from([("mlp", 1), ("mlp", 2), ("convnet", 1)]), st.integers(1, 64), SECONDS)
REQUESTS = st.tuples(st.sampled_from(["/a", "/b"]), st.sampled_from(["GET", "POST"]), st.sampled_from([200, 503]))


@st.composite
def histories(draw: st.DrawFn) -> list[ServiceStatistics]:
    """The same events, all in the first and spread over the others."""
    whole, *parts = (ServiceStatistics() for _ in range(4))
    for version, rows, seconds in draw(st.lists(RUNS)):
        for statistics in (whole, draw(st.sampled_from(parts))):
            statistics.versions[version].record_run(rows, seconds)
            statistics.versions[version].success.add(seconds)
            statistics.versions[version].last_inference_ms = rows
    for request in draw(st.lists(REQUESTS)):
        for statistics in (whole, draw(st.sampled_from(parts))):
            statistics.requests[request].add(0.25)
            statistics.versions["mlp", 1].pending += 1
    for version in whole.versions:
        whole.versions[version].last_inference_ms = max(part.versions[version].last_inference_ms for part in parts)
    return [whole, *parts]


def rounded(statistics: ServiceStatistics) -> str:
    """Comparable: sums of floats depend on their order in the last digits."""
    versions = {
        version: (
            counted.rows,
            counted.last_inference_ms,
            [
                (durations.count, round(durations.seconds, 6), durations.buckets)
                for durations in (
                    counted.success,
                    counted.runs,
                    counted.queue,
                    *(durations for _, durations in sorted(counted.batches.items())),
                )
            ],
            sorted(counted.batches),
        )
        for version, counted in sorted(statistics.versions.items())
        if counted.runs.count
    }
    requests = {
        request: (durations.count, durations.buckets) for request, durations in sorted(statistics.requests.items())
    }
    return repr((versions, requests, statistics.pending))


@given(histories())
def test_merged_parts_are_the_whole_in_any_order(history: list[ServiceStatistics]) -> None:
    whole, *parts = history
    for order in (parts, parts[::-1]):
        merged = ServiceStatistics()
        for part in order:
            merged.merge(ServiceStatistics.from_json(part.to_json()))
        assert rounded(merged) == rounded(whole)


@given(histories())
def test_what_was_read_from_another_process_counts_on(history: list[ServiceStatistics]) -> None:
    for first, second in pairwise(history):
        read = ServiceStatistics.from_json(first.to_json())
        assert rounded(read) == rounded(first)
        before = second.to_json()
        read.merge(second)
        read.versions["mlp", 1].record_run(65, 0.5)
        assert read.versions["mlp", 1].batches[65].count == 1
        assert second.to_json() == before


@pytest.mark.parametrize("counts", [VersionStatistics, ShadowComparison])
def test_every_count_of_another_process_is_added(counts: type[VersionStatistics | ShadowComparison]) -> None:
    other = counts()
    for field in fields(other):
        value = getattr(other, field.name)
        if isinstance(value, DurationHistogram):
            value.add(0.25)
        elif isinstance(value, Counter):
            value["evicted"] += 3
        elif isinstance(value, defaultdict):
            value[7].add(0.25)
        elif isinstance(value, Effort):
            value.add(Effort(1, 2, 3, 0.25))
        else:
            setattr(other, field.name, 3)

    merged = counts()
    merged.merge(other)
    assert merged == other


def test_numbers_of_rows_that_clients_choose_take_bounded_memory() -> None:
    counted = VersionStatistics()
    for rows in range(1, MAX_BATCH_SIZES + 100):
        counted.record_run(rows, 0.01)
    counted.record_run(1, 0.01)

    assert len(counted.batches) == MAX_BATCH_SIZES
    assert counted.batches[1].count == 2
    assert counted.runs.count == MAX_BATCH_SIZES + 100
