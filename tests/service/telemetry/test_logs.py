"""Every event is one line, with the id of its request; both ways of logging a finished request write the same line."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from service.telemetry import logs


def logged(script: str, level: str = "info", style: logs.Style = "json") -> list[str]:
    """The lines that a script logs in a process of its own."""
    start = f"""
        import asyncio, logging
        import structlog
        from service.telemetry import logs, request_log
        logs.configure({level!r}, {style!r})
        log_request = request_log.request_logger({level!r}, {style!r})
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
def test_events_of_denge_and_of_libraries_have_the_ids_of_their_request_and_its_trace(name: str) -> None:
    logger = {"denge": "structlog.get_logger()", "library": "logging.getLogger('library')"}[name]
    lines = logged(f"""
        log = {logger}
        log.warning("before")
        logs.request_id.set("mine")
        log.warning("during")
        logs.trace_id.set("ours")
        log.warning("traced")
    """)

    assert parsed(lines) == [
        {"event": "before", "level": "warning"},
        {"event": "during", "level": "warning", "request_id": "mine"},
        {"event": "traced", "level": "warning", "request_id": "mine", "trace_id": "ours"},
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


HOSTILE = "a\x1b[31m\nforged\r\x7f\x9b\u2028\u202e"


@pytest.mark.parametrize("style", ["json", "console"])
def test_texts_of_clients_cannot_look_like_another_line_or_move_the_cursor(style: logs.Style) -> None:
    raw = "".join(
        line + "\n"
        for line in logged(
            f"""
        hostile = {HOSTILE!r}
        structlog.get_logger().info("event", name=hostile, names=[hostile])
        logging.getLogger("library").warning("said %s", hostile)
        logs.log_request(path=hostile, status=200)
        async def finish():
            log_request(path=hostile, status=200)
        asyncio.run(finish())
        """,
            style=style,
        )
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", raw) if style == "console" else raw  # the colours of the renderer

    lines = text.split("\n")[:-1]
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    if style == "json":
        events = [json.loads(line) for line in lines]
        assert (events[0]["name"], events[0]["names"]) == (HOSTILE, [HOSTILE])
        assert [event["path"] for event in events[2:]] == [HOSTILE] * 2


def test_the_lines_of_a_traceback_for_people_are_indented() -> None:
    event, *traceback = logged(
        """
        try:
            raise ValueError("a\\nforged")
        except ValueError as error:
            structlog.get_logger().error("failed", exc_info=error)
        """,
        style="console",
    )

    assert "failed" in event
    assert "    forged" in traceback
    assert all(line.startswith("    ") for line in traceback)


def test_what_json_cannot_express_is_logged_in_words() -> None:
    events = parsed(
        logged("""
        structlog.get_logger().warning("odd", file="caf\\udce9", number=2**70)
        async def finish():
            log_request(path="caf\\udce9", status=200)
            log_request(path="/v2", status=200)
        asyncio.run(finish())
        """)
    )

    assert events[0] == {"event": "odd", "level": "warning", "file": "caf\\udce9", "number": str(2**70)}
    assert [event["path"] for event in events[1:]] == ["caf\\udce9", "/v2"]


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-", "2>&1 | true"], ids=["full", "closed", "unread"])
def test_a_log_that_cannot_be_written_stops_nothing(style: logs.Style, stderr: str, tmp_path: Path) -> None:
    script = f"""
import asyncio, logging, pathlib, structlog
from service.telemetry import logs, request_log
logs.configure("info", {style!r})
log_request = request_log.request_logger("info", {style!r})
async def serve():
    for number in range(200):
        structlog.get_logger().info("event", text="x" * 1000)
        logging.getLogger("library").warning("event")
        log_request(path="/", status=200)
        await asyncio.sleep(0)
asyncio.run(serve())
pathlib.Path("finished").touch()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(logs.__file__).parents[2])}
    command = ["bash", "-c", f'"$0" -c "$1" {stderr}', sys.executable, script]
    subprocess.run(command, cwd=tmp_path, env=environment, timeout=60, check=True)

    assert (tmp_path / "finished").exists()


def test_lines_that_were_dropped_are_counted_when_the_log_can_be_written_again() -> None:
    reading, writing = os.pipe()
    script = """
import structlog
from service.host import streams
from service.telemetry import logs
logs.configure("info", "json")
log = structlog.get_logger()
for _ in range(2000):
    log.info("event", text="x" * 1000)
print("stuck", flush=True)
input()
streams.standard_error().drain()
log.info("last")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=writing, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        os.close(writing)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"stuck\n"
        process.stdin.write(b"\n")
        process.stdin.close()
        with os.fdopen(reading, "rb") as file:
            received = file.read()

    events = [json.loads(line) for line in received.splitlines()]
    names = Counter(event["event"] for event in events)
    assert process.returncode == 0
    assert 1000 <= names["event"] < 2000
    assert [event["lines"] for event in events if "lines" in event] == [2000 - names["event"]]
    assert [event["event"] for event in events[-2:]] == ["log_lines_dropped", "last"]
