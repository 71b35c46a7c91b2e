"""Traces, where they are asked for."""

from typing import TYPE_CHECKING

from service.settings import ConfigurationError, Settings

if TYPE_CHECKING:
    from service.http.tracing import Tracing


def open_tracing(settings: Settings) -> "Tracing | None":
    """Traces, where they are asked for.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if settings.traces == "none":
        return None
    try:
        from service.http.tracing import Tracing  # noqa: PLC0415 - slow to import, and an extra
        from service.telemetry.tracing import open_provider  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"traces: {error.name} is not installed: pip install 'denge[otel]'") from error
    return Tracing(open_provider())
