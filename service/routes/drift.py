"""Drift: whether the layers' inputs have moved away from the held-out rows, now and over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from models.drift.assessment import LARGE_KL, Assessment, ClassShift, LayerShift, Verdict
from models.manifest import Manifest
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.routes.live import ChannelDrift
from service.routes.openapi import api_router, error_responses, example
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named
from service.watching.monitor import DriftMonitor
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Bucket

DriftWindow = Annotated[
    Literal["1m", "1h", "1d", "start", "last"],
    Query(
        description="The last minute, hour or day; `start`: since observations began; `last`: the last full window of "
        "`drift_window_rows` rows, which alarms are raised on.",
        openapi_examples=example("1h"),
    ),
]
HistoryWindow = Annotated[
    Literal["1m", "1h", "1d"],
    Query(description="The last minute, hour or day, in 12, 60 or 96 points.", openapi_examples=example("1h")),
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


class LayerDrift(BaseModel):
    """Whether a layer's input has moved."""

    name: str
    statistic: float | None = Field(description="1 is what one undisturbed window in a hundred exceeds in this layer.")
    threshold: float | None = Field(description="Of the statistic, at the false-alarm rate.")
    significant: bool | None
    symmetric_kl: float = Field(description="Mean over channels, less what chance alone makes of it.")
    wasserstein: float = Field(
        description="In standard deviations, mean over channels, less what chance alone makes of it."
    )
    worst_channels: list[ChannelDrift]

    @classmethod
    def of(cls, name: str, shift: LayerShift) -> "LayerDrift":
        """The response's form of a layer's shift."""
        return cls(
            name=name,
            statistic=shift.statistic,
            threshold=shift.threshold,
            significant=shift.significant,
            symmetric_kl=shift.symmetric_kl,
            wasserstein=shift.wasserstein,
            worst_channels=list(map(ChannelDrift.of, shift.worst_channels)),
        )


class ClassDrift(BaseModel):
    """Predicted classes in the window, beside those of the held-out rows."""

    labels: list[str]
    counts: list[int]
    shares: list[float]
    reference_shares: list[float] | None = Field(description="Shares among the held-out rows.")
    significant: bool | None = Field(description="Whether the shares differ significantly, at the false-alarm rate.")
    distance: float | None = Field(description="Share of rows that would need another class for the shares to agree.")
    explains_shift: bool | None = Field(
        description="Whether held-out rows of the same classes would make the layers see the same."
    )


class DriftReport(BaseModel):
    """Whether the input has moved. The divergence is no estimate of accuracy, and moments do not see geometry."""

    model: str
    version: str
    window: str
    rows: int
    verdict: Verdict
    message: str
    alarm: bool = Field(description="Whether the shift is both significant and large.")
    false_alarm_rate: float
    window_rows: int = Field(description="Rows of the windows that alarms are raised on.")
    windows_per_day: float = Field(description="How many of these windows a day has, at the traffic of the last hour.")
    false_alarms_per_day: float = Field(description="How many of them are significant although nothing has moved.")
    statistic: float | None = Field(description="The largest of all layers.")
    threshold: float | None = Field(description="Of the largest statistic, at the false-alarm rate.")
    significant: bool | None
    symmetric_kl: float = Field(description="Mean over layers.")
    wasserstein: float = Field(description="Mean over layers, in standard deviations.")
    large_symmetric_kl: float = Field(
        description="A layer's divergence from which a significant shift raises an alarm."
    )
    layers: list[LayerDrift]
    classes: ClassDrift | None = Field(description="null for a model that does not classify.")


class VersionDrift(BaseModel):
    """The verdict on a loaded version."""

    model: str
    version: str
    is_default: bool = Field(description="Whether it answers the requests to the model that name no version.")
    rows: int
    verdict: Verdict
    alarm: bool = Field(description="Whether the shift is both significant and large.")
    symmetric_kl: float = Field(description="Mean over layers.")


class DriftOverview(BaseModel):
    """The verdicts on all loaded versions of all models."""

    window: str
    versions: list[VersionDrift]


class DriftPoint(BaseModel):
    """Drift in a part of the window."""

    time: datetime = Field(description="End of the part.")
    rows: int
    symmetric_kl: float
    statistic: float | None
    threshold: float | None
    alarm: bool
    layers: dict[str, float] = Field(description="Symmetric KL divergence by layer.")


class DriftHistory(BaseModel):
    """Drift over time, oldest first. Parts without rows are left out."""

    model: str
    version: str
    window: str
    points: list[DriftPoint]


def router(catalog: Catalog, monitor: DriftMonitor) -> APIRouter:
    """Drift of a version, and its history."""
    routes = api_router("watch", PUBLIC)
    responses = error_responses(400, 404, 503)

    @routes.get("/v2/drift", summary="Verdicts on all loaded versions", responses=error_responses(400))
    def get_drift_overview(window: DriftWindow = "1h") -> DriftOverview:
        """The drift reports of all loaded versions, in short: what a page needs that lists the models."""
        versions = [
            _verdict(served, monitor.of(served), window, is_default=catalog.is_default(served))
            for served in catalog.served()
        ]
        return DriftOverview(window=window, versions=versions)

    @for_default_and_named(routes, "GET", "/v2/models/{model}/drift", summary="Drift report", responses=responses)
    def get_drift(
        model: ModelName, version: int | None, window: DriftWindow = "1h", false_alarm_rate: FalseAlarmRate = None
    ) -> DriftReport:
        """Whether the input has moved: how significant and how large the shift is, per layer, channel and class."""
        served = catalog.get(model, version)
        return _report(served, monitor.of(served), monitor.window_rows, window, false_alarm_rate)

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/drift/history", summary="Drift over time", responses=responses
    )
    def get_drift_history(model: ModelName, version: int | None, window: HistoryWindow = "1h") -> DriftHistory:
        """The drift report of each part of the window, in short."""
        served = catalog.get(model, version)
        observed = monitor.of(served)
        points = [_point(end, observed.assess(bucket)) for end, bucket in observed.history(window)]
        return DriftHistory(model=served.model, version=str(served.version), window=window, points=points)

    return routes


def _report(
    served: ServedVersion, observed: VersionMonitor, window_rows: int, window: DriftWindow, rate: float | None
) -> DriftReport:
    bucket = _bucket(observed, window)
    found = observed.assess(bucket, rate)
    false_alarm_rate = observed.rate if rate is None else rate
    windows_per_day = observed.windows_per_day
    return DriftReport(
        model=served.model,
        version=str(served.version),
        window=window,
        rows=found.rows,
        verdict=found.verdict,
        message=found.message,
        alarm=found.alarm,
        false_alarm_rate=false_alarm_rate,
        window_rows=window_rows,
        windows_per_day=windows_per_day,
        false_alarms_per_day=windows_per_day * false_alarm_rate,
        statistic=found.statistic,
        threshold=found.threshold,
        significant=found.significant,
        symmetric_kl=found.symmetric_kl,
        wasserstein=found.wasserstein,
        large_symmetric_kl=LARGE_KL,
        layers=[LayerDrift.of(name, shift) for name, shift in found.layers.items()],
        classes=_classes(served.manifest, bucket, found.classes),
    )


def _verdict(served: ServedVersion, observed: VersionMonitor, window: DriftWindow, *, is_default: bool) -> VersionDrift:
    found = observed.assess(_bucket(observed, window))
    return VersionDrift(
        model=served.model,
        version=str(served.version),
        is_default=is_default,
        rows=found.rows,
        verdict=found.verdict,
        alarm=found.alarm,
        symmetric_kl=found.symmetric_kl,
    )


def _bucket(observed: VersionMonitor, window: DriftWindow) -> Bucket:
    if window != "last":
        return observed.window(window)
    return observed.judged.bucket if observed.judged else Bucket.empty(0.0)


def _point(end: float, found: Assessment) -> DriftPoint:
    return DriftPoint(
        time=datetime.fromtimestamp(end, UTC),
        rows=found.rows,
        symmetric_kl=found.symmetric_kl,
        statistic=found.statistic,
        threshold=found.threshold,
        alarm=found.alarm,
        layers={name: shift.symmetric_kl for name, shift in found.layers.items()},
    )


def _classes(manifest: Manifest, bucket: Bucket, shift: ClassShift | None) -> ClassDrift | None:
    drift = manifest.drift
    reference: Sequence[int] | None = drift.classes.counts if drift and drift.classes else None
    counts = list(map(int, bucket.classes)) or [0] * len(reference or ())
    if not counts:
        return None
    labels = manifest.labels or tuple(str(index) for index in range(len(counts)))
    return ClassDrift(
        labels=list(labels),
        counts=counts,
        shares=_shares(counts),
        reference_shares=None if reference is None else _shares(reference),
        significant=shift.significant if shift else None,
        distance=shift.distance if shift else None,
        explains_shift=shift.explains_shift if shift else None,
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]
