"""A request is counted by its route and logged by its path; probes are not logged, and invented methods are one."""

from typing import Any

import pytest

from service.telemetry.requests import MAX_ERROR_LENGTH, RequestRecorder
from service.telemetry.statistics import ServiceStatistics


@pytest.fixture
def statistics() -> ServiceStatistics:
    return ServiceStatistics()


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def recorder(statistics: ServiceStatistics, lines: list[dict[str, Any]]) -> RequestRecorder:
    return RequestRecorder(statistics, lambda **fields: lines.append(fields))


def test_a_request_is_counted_by_its_route_and_logged_by_its_path(
    recorder: RequestRecorder, statistics: ServiceStatistics, lines: list[dict[str, Any]]
) -> None:
    for model in ("a", "b"):
        recorder.record(
            "/v2/models/{model}/infer", "POST", f"/v2/models/{model}/infer", 200, "mine", 0.0012345, "192.0.2.1"
        )

    ((request, durations),) = statistics.requests.items()
    assert (request, durations.count) == (("/v2/models/{model}/infer", "POST", 200), 2)
    assert lines[1] == {
        "method": "POST",
        "path": "/v2/models/b/infer",
        "status": 200,
        "milliseconds": 1.234,
        "client": "192.0.2.1",
        "request_id": "mine",
    }


def test_what_is_wrong_is_logged_in_bounded_length(recorder: RequestRecorder, lines: list[dict[str, Any]]) -> None:
    for error in ("body: missing", "x" * 1000):
        recorder.record("none", "POST", "/v2", 400, "mine", 0.001, "", error)

    assert [line["error"] for line in lines] == ["body: missing", "x" * MAX_ERROR_LENGTH]


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/metrics"])
def test_probes_are_counted_and_not_logged(
    recorder: RequestRecorder, statistics: ServiceStatistics, lines: list[dict[str, Any]], path: str
) -> None:
    recorder.record(path, "GET", path, 200, "mine", 0.001, "")

    assert statistics.requests[path, "GET", 200].count == 1
    assert lines == []


def test_methods_that_clients_invent_are_counted_as_one(
    recorder: RequestRecorder, statistics: ServiceStatistics
) -> None:
    for method in ("BREW", "WHEN"):
        recorder.record("none", method, "/", 405, "mine", 0.001, "")

    assert {request: durations.count for request, durations in statistics.requests.items()} == {
        ("none", "other", 405): 2
    }
