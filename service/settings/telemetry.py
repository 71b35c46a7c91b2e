"""Settings of what the service tells of itself."""

from typing import Literal

from pydantic import BaseModel, Field


class Telemetry(BaseModel, defer_build=True):
    """Traces and the log."""

    traces: Literal["none", "otlp"] = Field(
        "none",
        description="Whether to trace requests by OpenTelemetry and export the spans by OTLP over HTTP. The standard "
        "OTEL_* variables configure the exporter.",
    )
    json_addresses: bool = Field(
        False, description="Print the addresses at the start as one line of JSON. `denge serve --json` sets it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level to log.")
    log_format: Literal["json", "console"] = Field(
        "json", description="Format of the log: one JSON object per line, or text for people."
    )
