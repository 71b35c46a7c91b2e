"""The log: one event a line on standard error, as JSON for machines or as text for people.

Texts of clients are in it. Neither style writes control characters as they are, so nothing can look like another line
or move a terminal's cursor. A log that cannot be written delays and stops nothing (`service.host.streams`).
"""

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from io import StringIO
from typing import Any, BinaryIO, Literal, TextIO, cast

import orjson
import structlog

from service.host import streams

Style = Literal["json", "console"]

request_id: ContextVar[str] = ContextVar("request_id")
"""Id of the current request; every event that is logged during the request has it."""

trace_id: ContextVar[str] = ContextVar("trace_id")
"""Id of its trace, where requests are traced; the events have it as well."""


def configure(level: str, style: Style) -> None:
    """Set up the log of the whole process, for the events of Denge and of libraries.

    Args:
        level: the least severe level that is logged; of libraries, warnings at least.
        style: of a line.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        _report_dropped,
        add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks without the values of variables, which are data of clients.
    if style == "console":
        text = structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)
        rendering: list[structlog.typing.Processor] = [_escape_fields, text, _encode]
    else:
        rendering = [structlog.processors.format_exc_info, _render_json]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", streams.standard_error())),
        cache_logger_on_first_use=False,
    )
    handler = _Handler()
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[without_meta, *rendering, _decode], foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def log_request(**fields: Any) -> None:
    """Log a finished request through the processors."""
    structlog.get_logger().info("request", **fields)


def add_ids(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the ids of the current request and of its trace, where there are any: a structlog processor."""
    for variable in (request_id, trace_id):
        if identity := variable.get(None):
            event.setdefault(variable.name, identity)
    return event


def _report_dropped(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    report_lines_dropped()
    return event


def report_lines_dropped() -> None:
    """Log how many lines could not be written, if there were any and lines can be written again."""
    if lines := streams.standard_error().take_dropped():
        structlog.get_logger().warning("log_lines_dropped", lines=lines)


class _Handler(logging.Handler):
    """Writes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            streams.standard_error().write(f"{self.format(record)}\n".encode())
        except Exception:  # noqa: BLE001 - as the handlers of the standard library do
            self.handleError(record)


_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON allows, and that end a line or change how a terminal shows it."""


def _render_json(_logger: object, _method: str, event: structlog.typing.EventDict) -> bytes:
    return escape_json(dump(event))


def dump(event: Mapping[str, Any]) -> bytes:
    """Returns an event in JSON, with words for what JSON cannot express."""
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    try:
        return orjson.dumps(event, default=repr, option=options)
    except TypeError:  # a large integer, or text that is not valid Unicode, such as the name of a file
        valid = {key: value if isinstance(value, datetime) else _replace_invalid(value) for key, value in event.items()}
        return orjson.dumps(valid, option=options)


def _replace_invalid(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode()


def escape_json(data: bytes) -> bytes:
    """Returns JSON with an escape for each character that ends a line or changes how a terminal shows it."""
    if data.isascii() and b"\x7f" not in data:
        return data
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", data.decode()).encode()


def _escape_fields(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: _escape(value) if isinstance(value, str) else value for key, value in event.items()}


def _escape(text: str) -> str:
    """Returns the text with an escape for each character that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _write_traceback(file: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Write a traceback for people: indented, so that no line of a message looks like an event."""
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    file.writelines(f"\n    {_escape(line)}" for line in text.getvalue().rstrip("\n").split("\n"))


def _encode(_logger: object, _method: str, text: Any) -> bytes:
    return str(text).encode("utf-8", "backslashreplace")


def _decode(_logger: object, _method: str, line: Any) -> str:
    return str(line, "utf-8")
