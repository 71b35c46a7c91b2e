"""What the layers meet in production, beside what they remember; and whether that has moved."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Path, Query
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from models.drift.detector import ChannelShift, ClassShift, Verdict
from models.moments.window import WindowMoments
from service.catalog.catalog import Catalog
from service.catalog.served_version import ServedVersion
from service.http.access import PUBLIC
from service.routes.answers import EXAMPLE_LAYER, errors, example
from service.routes.models import ModelName, Version
from service.watching.monitor import DriftMonitor
from service.watching.windows import Bucket, Window

LayerName = Annotated[str, Path(description="name of a layer", openapi_examples=example(EXAMPLE_LAYER))]
TimeWindow = Annotated[
    Window,
    Query(description="a minute, an hour, a day, or all since observations began", openapi_examples=example("1h")),
]
DriftWindow = Annotated[
    Literal["1m", "1h", "1d", "start", "last"],
    Query(
        description="of time; or `last`, the last full window of rows, which alarms are raised on",
        openapi_examples=example("1h"),
    ),
]
HistoryWindow = Annotated[
    Literal["1m", "1h", "1d"], Query(description="how far back: in 12, 60 or 96 points", openapi_examples=example("1h"))
]
Rate = Annotated[
    float | None,
    Query(
        description="per window: the share of windows that are significant although nothing has moved",
        openapi_examples=example(0.01),
    ),
]


class Channels(BaseModel):
    """Live moments in z units, where the reference has mean 0 and variance about 1. One number per channel."""

    mean: list[float]
    mean_error: list[float | None] = Field(description="standard error, counting rows; null for fewer than two")
    variance: list[float]
    variance_error: list[float | None] = Field(description="likewise")


class ReferenceChannels(BaseModel):
    """What held-out rows have in the same channels."""

    mean: list[float]
    variance: list[float]
    rows: int


class LiveLayer(BaseModel):
    """What a layer has met."""

    model: str
    version: str
    layer: str
    window: Window
    rows: int
    since: datetime | None = Field(description="when the first of these rows came")
    units: Literal["z"] = "z"
    channels: Channels | None = Field(description="null before anything was seen")
    reference: ReferenceChannels | None = Field(description="null for a model without held-out rows")


class Observed(BaseModel):
    """What observing has cost since the service started."""

    batches: int
    rows: int
    dropped_batches: int = Field(description="served, but not observed: to hold the budget")
    seconds: float = Field(description="of processor time")


class LayerSummary(BaseModel):
    """A layer in a window."""

    name: str
    num_features: int
    placement: str
    symmetric_kl: float | None = Field(description="how far it is from its reference; null before anything was seen")
    wasserstein: float | None
    worst_channels: list["Channel"]


class LiveModel(BaseModel):
    """What all layers of a version have met."""

    model: str
    version: str
    window: Window
    rows: int
    since: datetime | None
    observed: Observed
    layers: list[LayerSummary]


class Channel(BaseModel):
    """A channel in a window, in z units."""

    channel: int
    mean: float
    variance: float
    symmetric_kl: float

    @classmethod
    def of(cls, shift: ChannelShift) -> "Channel":
        """From the domain's own."""
        return cls(channel=shift.channel, mean=shift.mean, variance=shift.variance, symmetric_kl=shift.symmetric_kl)


class LayerDrift(BaseModel):
    """Whether a layer's input has moved."""

    name: str
    statistic: float | None = Field(description="1 is what one undisturbed window in a hundred exceeds in this layer")
    threshold: float | None = Field(description="at the false-alarm rate")
    significant: bool | None
    symmetric_kl: float = Field(description="mean over channels, less what chance makes")
    wasserstein: float = Field(description="likewise, in standard deviations")
    worst_channels: list[Channel]


class Classes(BaseModel):
    """What the model has predicted."""

    labels: list[str]
    counts: list[int]
    shares: list[float]
    reference_shares: list[float] | None = Field(description="of the held-out rows")
    significant: bool | None = Field(description="whether these are other shares, at the same false-alarm rate")
    distance: float | None = Field(description="share of rows whose class would have to be another one")
    explain: bool | None = Field(description="whether held-out rows of these classes meet what these rows meet")


class Drift(BaseModel):
    """Whether the input has moved. A score is no estimate of accuracy, and moments do not see geometry."""

    model: str
    version: str
    window: str
    rows: int
    verdict: Verdict
    message: str
    alarm: bool = Field(description="significant and large")
    false_alarm_rate: float
    window_rows: int = Field(description="rows of the windows that alarms are raised on")
    windows_per_day: float = Field(description="of these, at the traffic of the last hour")
    false_alarms_per_day: float
    statistic: float | None = Field(description="the largest of all layers")
    threshold: float | None = Field(description="of the largest, at the false-alarm rate")
    significant: bool | None
    symmetric_kl: float = Field(description="mean over layers")
    wasserstein: float = Field(description="mean over layers, in standard deviations")
    layers: list[LayerDrift]
    classes: Classes | None = Field(description="null for a model that does not classify")


class Point(BaseModel):
    """A stretch of time."""

    time: datetime = Field(description="its end")
    rows: int
    symmetric_kl: float
    statistic: float | None
    threshold: float | None
    alarm: bool
    layers: dict[str, float] = Field(description="symmetric KL divergence by layer")


class History(BaseModel):
    """Drift over time, oldest first. Stretches without rows are left out."""

    model: str
    version: str
    window: str
    points: list[Point]


def router(catalog: Catalog, watch: DriftMonitor) -> APIRouter:
    """Live moments, drift and its history, of the default version of a model or of one that is named."""
    routes = APIRouter(tags=["watch"], dependencies=[PUBLIC])
    answers = errors(400, 404, 503)

    def both(path: str, summary: str, answer: Callable[..., Any], versioned: Callable[..., Any]) -> None:
        routes.get(f"/v2/models/{{model}}{path}", summary=summary, responses=answers)(answer)
        summary = f"{summary} (one version)"
        routes.get(f"/v2/models/{{model}}/versions/{{version}}{path}", summary=summary, responses=answers)(versioned)

    def live(model: ModelName, window: TimeWindow = "1h") -> LiveModel:
        return _live(catalog.get(model), watch, window)

    def live_version(model: ModelName, version: Version, window: TimeWindow = "1h") -> LiveModel:
        return _live(catalog.get(model, version), watch, window)

    def layer(model: ModelName, layer: LayerName, window: TimeWindow = "1h") -> LiveLayer:
        return _layer(catalog.get(model), layer, watch, window)

    def layer_version(model: ModelName, version: Version, layer: LayerName, window: TimeWindow = "1h") -> LiveLayer:
        return _layer(catalog.get(model, version), layer, watch, window)

    def drift(model: ModelName, window: DriftWindow = "1h", false_alarm_rate: Rate = None) -> Drift:
        return _drift(catalog.get(model), watch, window, false_alarm_rate)

    def drift_version(
        model: ModelName, version: Version, window: DriftWindow = "1h", false_alarm_rate: Rate = None
    ) -> Drift:
        return _drift(catalog.get(model, version), watch, window, false_alarm_rate)

    def history(model: ModelName, window: HistoryWindow = "1h") -> History:
        return _history(catalog.get(model), watch, window)

    def history_version(model: ModelName, version: Version, window: HistoryWindow = "1h") -> History:
        return _history(catalog.get(model, version), watch, window)

    both("/live", "What do the layers meet?", live, live_version)
    both("/layers/{layer}/live", "What do a layer's channels meet?", layer, layer_version)
    both("/drift", "Has the input moved?", drift, drift_version)
    both("/drift/history", "Has it moved over time?", history, history_version)
    return routes


def _live(served: ServedVersion, watch: DriftMonitor, window: Window) -> LiveModel:
    monitor = watch.of(served)
    bucket = monitor.window(window)
    effort = monitor.effort
    found = monitor.assess(bucket)
    layers = []
    for layer in served.manifest.norm_layers:
        shift = found.layers.get(layer.name)
        layers.append(
            LayerSummary(
                name=layer.name,
                num_features=layer.num_features,
                placement=layer.placement.kind,
                symmetric_kl=None if shift is None else shift.symmetric_kl,
                wasserstein=None if shift is None else shift.wasserstein,
                worst_channels=[] if shift is None else list(map(Channel.of, shift.worst_channels)),
            )
        )
    return LiveModel(
        model=served.model,
        version=str(served.version),
        window=window,
        rows=bucket.rows,
        since=_since(bucket),
        observed=Observed(
            batches=effort.batches, rows=effort.rows, dropped_batches=effort.skipped, seconds=effort.seconds
        ),
        layers=layers,
    )


def _layer(served: ServedVersion, name: str, watch: DriftMonitor, window: Window) -> LiveLayer:
    served.layer(name)
    bucket = watch.of(served).window(window)
    moments = bucket.layers.get(name)
    known = served.manifest.drift.layers.get(name) if served.manifest.drift else None
    reference = None
    if known is not None and served.manifest.drift is not None:
        variance = np.array(known.mean_square) - np.square(known.mean)
        reference = ReferenceChannels(mean=list(known.mean), variance=list(variance), rows=served.manifest.drift.rows)
    return LiveLayer(
        model=served.model,
        version=str(served.version),
        layer=name,
        window=window,
        rows=0 if moments is None else moments.count,
        since=_since(bucket),
        channels=None if moments is None else _channels(moments),
        reference=reference,
    )


def _drift(served: ServedVersion, watch: DriftMonitor, window: str, rate: float | None) -> Drift:
    monitor = watch.of(served)
    if window == "last":
        bucket = monitor.judged.bucket if monitor.judged else Bucket.empty(0.0)
    else:
        bucket = monitor.window(window)  # type: ignore[arg-type]  # the others are windows of time
    found = monitor.assess(bucket, rate)
    per_day = monitor.windows_per_day
    shown_rate = monitor.rate if rate is None else rate
    return Drift(
        model=served.model,
        version=str(served.version),
        window=window,
        rows=found.rows,
        verdict=found.verdict,
        message=found.message,
        alarm=found.alarm,
        false_alarm_rate=shown_rate,
        window_rows=watch.window_rows,
        windows_per_day=per_day,
        false_alarms_per_day=per_day * shown_rate,
        statistic=found.statistic,
        threshold=found.threshold,
        significant=found.significant,
        symmetric_kl=found.symmetric_kl,
        wasserstein=found.wasserstein,
        layers=[
            LayerDrift(
                name=name,
                statistic=shift.statistic,
                threshold=shift.threshold,
                significant=shift.significant,
                symmetric_kl=shift.symmetric_kl,
                wasserstein=shift.wasserstein,
                worst_channels=list(map(Channel.of, shift.worst_channels)),
            )
            for name, shift in found.layers.items()
        ],
        classes=_classes(served, bucket, found.classes),
    )


def _history(served: ServedVersion, watch: DriftMonitor, window: Window) -> History:
    points = []
    monitor = watch.of(served)
    for end, bucket in monitor.history(window):
        found = monitor.assess(bucket)
        points.append(
            Point(
                time=datetime.fromtimestamp(end, UTC),
                rows=found.rows,
                symmetric_kl=found.symmetric_kl,
                statistic=found.statistic,
                threshold=found.threshold,
                alarm=found.alarm,
                layers={name: shift.symmetric_kl for name, shift in found.layers.items()},
            )
        )
    return History(model=served.model, version=str(served.version), window=window, points=points)


def _channels(moments: WindowMoments) -> Channels:
    return Channels(
        mean=list(moments.mean),
        mean_error=_or_none(moments.mean_error),
        variance=list(moments.variance),
        variance_error=_or_none(moments.variance_error),
    )


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _classes(served: ServedVersion, bucket: Bucket, shift: ClassShift | None) -> Classes | None:
    drift = served.manifest.drift
    reference: Sequence[int] | None = drift.classes.counts if drift and drift.classes else None
    counts = list(map(int, bucket.classes)) or [0] * len(reference or ())
    if not counts:
        return None
    labels = served.manifest.labels or tuple(str(index) for index in range(len(counts)))
    return Classes(
        labels=list(labels),
        counts=counts,
        shares=_shares(counts),
        reference_shares=None if reference is None else _shares(reference),
        significant=shift.significant if shift else None,
        distance=shift.distance if shift else None,
        explain=shift.explain if shift else None,
    )


def _shares(counts: Sequence[int]) -> list[float]:
    whole = sum(counts)
    return [count / whole if whole else 0.0 for count in counts]


def _since(bucket: Bucket) -> datetime | None:
    return datetime.fromtimestamp(bucket.since, UTC) if bucket.rows else None
