"""Every event is one line, with the id of its request; both ways of logging a finished request write the same line."""

import json
import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest

from service.telemetry import logs


def logged(script: str, level: str = "info", style: logs.Style = "json") -> list[str]:
    """The lines that a script logs in a process of its own."""
    start = f"""
        import asyncio, logging
        import structlog
        from service.telemetry import logs
        logs.configure({level!r}, {style!r})
        log_request = logs.request_logger({level!r}, {style!r})
    """
    source = dedent(start) + dedent(script)
    process = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert not process.stdout
    return process.stderr.splitlines()


def parsed(lines: list[str]) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in lines]
    assert all(event.pop("timestamp").endswith("Z") for event in events)
    return events


@pytest.mark.parametrize("name", ["denge", "library"])
def test_events_of_denge_and_of_libraries_have_the_id_of_their_request(name: str) -> None:
    logger = {"denge": "structlog.get_logger()", "library": "logging.getLogger('library')"}[name]
    lines = logged(f"""
        log = {logger}
        log.warning("before")
        logs.request_id.set("mine")
        log.warning("during")
    """)

    assert parsed(lines) == [
        {"event": "before", "level": "warning"},
        {"event": "during", "level": "warning", "request_id": "mine"},
    ]


def test_events_below_the_level_are_left_out_and_of_libraries_all_below_warnings() -> None:
    lines = logged("""
        structlog.get_logger().debug("denge_debug")
        structlog.get_logger().info("denge_info")
        logging.getLogger("library").info("library_info")
        logging.getLogger("library").warning("library_warning")
    """)

    assert [event["event"] for event in parsed(lines)] == ["denge_info", "library_warning"]


def test_a_traceback_is_in_the_line_without_the_values_of_variables() -> None:
    (event,) = parsed(
        logged("""
        def fail(secret):
            raise ValueError("broken")
        try:
            fail("data of" + " clients")
        except ValueError as error:
            structlog.get_logger().error("failed", exc_info=error)
        """)
    )

    assert "ValueError: broken" in event["exception"]
    assert "data of clients" not in event["exception"]


def test_requests_that_finish_together_have_a_line_each_in_order() -> None:
    lines = logged("""
        async def finish():
            for status in (200, 404):
                log_request(path="/v2", status=status)
        asyncio.run(finish())
        asyncio.run(finish())
    """)

    assert parsed(lines) == [
        {"event": "request", "level": "info", "path": "/v2", "status": status} for status in (200, 404, 200, 404)
    ]


def test_a_request_has_the_same_line_when_it_is_logged_through_the_processors() -> None:
    fast, processed = parsed(
        logged("""
        async def finish():
            log_request(path="/v2", status=200)
        asyncio.run(finish())
        logs.log_request(path="/v2", status=200)
        """)
    )

    assert fast == processed


def test_requests_are_not_logged_above_info() -> None:
    assert logged('log_request(path="/v2", status=200)', level="warning") == []


def test_text_for_people_names_the_event_and_its_fields() -> None:
    (line,) = logged('log_request(path="/v2", status=200)', style="console")

    assert all(word in line for word in ("request", "path", "/v2", "status", "200"))
