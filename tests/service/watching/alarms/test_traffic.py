"""Traffic is what was added between two readings."""

import pytest

from service.telemetry.statistics import ServiceStatistics
from service.watching.alarms.traffic import TrafficReading


@pytest.fixture
def statistics() -> ServiceStatistics:
    """Of a version that was slow."""
    statistics = ServiceStatistics()
    for _ in range(5):
        statistics.of("tiny", 1).success.add(0.2)
    return statistics


def test_traffic_is_what_has_come_since_the_earlier_reading(statistics: ServiceStatistics) -> None:
    earlier = TrafficReading.of(statistics, 100.0)
    counted = statistics.of("tiny", 1)
    for _ in range(10):
        counted.success.add(0.0004)
    counted.fail.add(0.0004)
    counted.rows += 30
    counted.pending = 3

    traffic = TrafficReading.of(statistics, 102.0).since(earlier)

    assert traffic.pending == 3
    (tiny,) = traffic.models
    assert (tiny.model, tiny.version, tiny.requests, tiny.rows) == ("tiny", "1", 16, 30)
    assert (tiny.requests_per_second, tiny.rows_per_second) == (5.5, 15.0)
    assert 0 < tiny.p50_ms <= tiny.p99_ms <= 0.5  # and not 200, as before


def test_without_requests_there_is_no_latency(statistics: ServiceStatistics) -> None:
    reading = TrafficReading.of(statistics, 100.0)

    (tiny,) = TrafficReading.of(statistics, 101.0).since(reading).models
    assert (tiny.requests, tiny.requests_per_second, tiny.p50_ms, tiny.p99_ms) == (5, 0.0, None, None)


def test_a_version_that_is_new_since_the_earlier_reading_counts_in_full(statistics: ServiceStatistics) -> None:
    earlier = TrafficReading.of(statistics, 100.0)
    statistics.of("new", 2).success.add(0.001)

    new, _ = TrafficReading.of(statistics, 101.0).since(earlier).models
    assert (new.model, new.requests, new.requests_per_second) == ("new", 1, 1.0)
