"""Baselines: traffic that is declared good, whose spread thresholds follow from."""

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from models.drift.baseline import MAX_WINDOWS, MIN_WINDOWS, Baseline
from models.errors import InvalidInput
from service.catalog.catalog import Catalog
from service.host.clock import steady, to_date
from service.http.access import ADMIN, PUBLIC
from service.routes.baseline_report import BaselineReport
from service.routes.openapi import api_router, error_responses
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import VersionMonitor

DEFAULT_WINDOWS = 300
"""Three times as many independent windows as a false-alarm rate of 0.01 takes: neighbours may be alike."""

DEFAULT_WINDOWS_BY_DAYS = 500
"""Where false alarms are counted by days: their thresholds have to hold for months."""


class BaselineRequest(BaseModel):
    """How much traffic is declared good: in windows of `drift_window_rows` rows, or in rows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    windows: int | None = Field(
        None,
        ge=MIN_WINDOWS,
        le=MAX_WINDOWS,
        description=f"Windows, one after the other from now on. If `rows` is absent as well: {DEFAULT_WINDOWS}, or "
        f"{DEFAULT_WINDOWS_BY_DAYS} where `days_between_false_alarms` is set.",
    )
    rows: int | None = Field(None, ge=1, description="Rows, in place of windows: as many as these fill, or begin.")
    force: bool = Field(default=False, description="Begin also while an alarm is open: it would be learnt as good.")


class VersionBaseline(BaselineReport):
    """The baseline of a version."""

    model: str
    version: str


def router(catalog: Catalog, monitor: DriftMonitor) -> APIRouter:
    """The baseline of a version: begin, follow, forget."""
    routes = api_router("watch")
    path = "/v2/models/{model}/baseline"

    def report(model: str, version: int | None) -> VersionBaseline:
        served = catalog.get(model, version)
        found = BaselineReport.of(monitor.of(served))
        return VersionBaseline(model=served.model, version=str(served.version), **dict(found))

    @for_default_and_named(
        routes,
        "POST",
        path,
        summary="Begin a baseline",
        status_code=202,
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 503),
    )
    async def begin_baseline(
        model: ModelName,
        version: int | None,
        request: Annotated[BaselineRequest, Body(openapi_examples={"example": {"value": {"windows": 300}}})],
    ) -> VersionBaseline:
        """Declare the traffic from now on good, for some windows, and learn from them how much windows differ.

        Rows of one user, camera or hour resemble each other. When the baseline is complete, the false-alarm rate
        holds for such traffic. Until then, and after it is forgotten, it holds for independent rows. A new baseline
        replaces the last one. While an alarm is open, none is begun unless `force` is set.
        """
        served = catalog.get(model, version)
        observed = monitor.of(served)
        if served.manifest.drift is None:
            raise InvalidInput("this version has no held-out rows, so no window is compared with any: POST /reference")
        windows = _count_windows(request, observed)
        if (alarm := observed.alarms.open) is not None and not request.force:
            raise InvalidInput(
                f"an alarm is open since {to_date(alarm.began):%Y-%m-%d %H:%M} UTC, and its traffic would be learnt as "
                "good: wait until it has ended, or set force if this traffic is good",
                "force",
            )
        await monitor.set_baseline(served, Baseline(windows, observed.window_rows, steady()))
        return report(model, version)

    @for_default_and_named(
        routes,
        "GET",
        path,
        summary="Progress of the baseline",
        dependencies=[PUBLIC],
        responses=error_responses(404, 503),
    )
    def get_baseline(model: ModelName, version: int | None) -> VersionBaseline:
        """How many windows of good traffic there are, and what follows from them."""
        return report(model, version)

    @for_default_and_named(
        routes,
        "DELETE",
        path,
        summary="Forget the baseline",
        dependencies=[ADMIN],
        responses=error_responses(400, 401, 403, 404, 503),
    )
    async def forget_baseline(model: ModelName, version: int | None) -> VersionBaseline:
        """Stop learning, or return to the thresholds for independent rows."""
        await monitor.set_baseline(catalog.get(model, version), None)
        return report(model, version)

    return routes


def _count_windows(request: BaselineRequest, observed: VersionMonitor) -> int:
    if request.rows is None:
        by_days = observed.assessor.rule.days is not None
        return request.windows or (DEFAULT_WINDOWS_BY_DAYS if by_days else DEFAULT_WINDOWS)
    if request.windows is not None:
        raise InvalidInput("got rows as well, expected one of both", "windows")
    window_rows = observed.window_rows
    windows = ceil(request.rows / window_rows)
    if not MIN_WINDOWS <= windows <= MAX_WINDOWS:
        raise InvalidInput(
            f"{request.rows} rows are {windows} windows of {window_rows}, expected {MIN_WINDOWS} to {MAX_WINDOWS} "
            f"windows, so {MIN_WINDOWS * window_rows} to {MAX_WINDOWS * window_rows} rows",
            "rows",
        )
    return windows
