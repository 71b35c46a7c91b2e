"""Drift: whether the layers' inputs have moved away from the held-out rows, now and over time."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from service.catalog.catalog import Catalog
from service.http.access import PUBLIC
from service.routes.drift_report import DriftHistory, DriftOverview, DriftPoint, DriftReport, DriftVerdict, VersionDrift
from service.routes.openapi import api_router, error_responses, example
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.watching.alarms.alarm_report import AlarmReport
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Bucket

DriftWindow = Annotated[
    Literal["1m", "1h", "1d", "30d", "start", "last"],
    Query(
        description="The last minute, hour, day or 30 days; `start`: since observations began; `last`: the last full "
        "window of `drift_window_rows` rows, which alarms are raised on.",
        openapi_examples=example("1h"),
    ),
]
HistoryWindow = Annotated[
    Literal["1m", "1h", "1d", "30d"],
    Query(
        description="The last minute, hour, day or 30 days, in 12, 60, 96 or 60 points.",
        openapi_examples=example("1h"),
    ),
]
FalseAlarmRate = Annotated[
    float | None,
    Query(
        gt=0,
        lt=1,
        description="Share of windows that are significant although the input has not moved, within the range that was "
        "measured for the version. The setting if absent.",
        openapi_examples=example(0.01),
    ),
]


def router(catalog: Catalog, monitor: DriftMonitor) -> APIRouter:
    """Drift of a version, and its history."""
    routes = api_router("watch", PUBLIC)
    responses = error_responses(400, 404, 503)

    @routes.get("/v2/drift", summary="Drift of all versions", responses=error_responses(400))
    def get_drift_overview(window: DriftWindow = "1h") -> DriftOverview:
        """The drift reports of all loaded versions of all models, in short."""
        versions = []
        for served in catalog.served():
            observed = monitor.of(served)
            found = observed.assessor.assess(_bucket(observed, window))
            verdict = dict(DriftVerdict.of(found, alarm=observed.alarms.open is not None))
            is_default = catalog.is_default(served)
            versions.append(
                VersionDrift(model=served.model, version=str(served.version), is_default=is_default, **verdict)
            )
        return DriftOverview(window=window, versions=versions)

    @for_default_and_named(routes, "GET", "/v2/models/{model}/drift", summary="Drift report", responses=responses)
    def get_drift(
        model: ModelName, version: int | None, window: DriftWindow = "1h", false_alarm_rate: FalseAlarmRate = None
    ) -> DriftReport:
        """Whether the input has moved: how significant and how large the shift is, per layer, channel and class."""
        served = catalog.get(model, version)
        observed = monitor.of(served)
        return DriftReport.of(served, observed, _bucket(observed, window), window, false_alarm_rate)

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/drift/history", summary="Drift over time", responses=responses
    )
    def get_drift_history(model: ModelName, version: int | None, window: HistoryWindow = "1h") -> DriftHistory:
        """The drift report of each part of the window, in short."""
        served = catalog.get(model, version)
        observed = monitor.of(served)
        assess = observed.assessor.assess
        points = [DriftPoint.of(end, bucket, assess(bucket)) for end, bucket in observed.history(window)]
        alarms = [AlarmReport.of(course, served.manifest) for course in observed.alarms_in(window)]
        return DriftHistory(
            model=served.model, version=str(served.version), window=window, points=points, alarms=alarms
        )

    return routes


def _bucket(observed: VersionMonitor, window: DriftWindow) -> Bucket:
    return observed.last() if window == "last" else observed.window(window)
