"""One event a line on standard error: JSON for machines, or text for people."""

import logging
import sys
from typing import Literal

import orjson
import structlog

Style = Literal["json", "console"]


def configure(level: str, style: Style) -> None:
    """Set up the log of the whole process, for Denge's own events and the libraries' alike."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    factory: structlog.WriteLoggerFactory | structlog.BytesLoggerFactory
    # Tracebacks without the values of variables, which are callers' data.
    if style == "console":
        as_text: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
        own, factory = as_text, structlog.WriteLoggerFactory(sys.stderr)
    else:
        as_text = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        own = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=[*shared, *own],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[without_meta, *as_text], foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def _dumps(event: object, default: object = None) -> bytes:  # noqa: ARG001 - structlog's own fallback is slower
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
