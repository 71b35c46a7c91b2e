"""Live statistics: what normalisation layers see in production, beside what they saw in training."""

from datetime import datetime
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from models.drift.assessment import LayerShift
from models.drift.reference import ChannelShifts
from models.manifest import DriftReference, WatchedLayer
from models.moments.window import WindowMoments
from service.catalog.catalog import Catalog
from service.host.clock import to_date
from service.http.access import PUBLIC
from service.routes.drift_report import ChannelDrift
from service.routes.openapi import api_router, error_responses, example
from service.routes.parameters import LayerName, ModelName
from service.routes.versions import for_default_and_named
from service.watching.monitor import DriftMonitor
from service.watching.windows import Bucket, Window

LiveWindow = Annotated[
    Window,
    Query(
        description="The last minute, hour, day or 30 days; or `start`: since observations began.",
        openapi_examples=example("1h"),
    ),
]


class LiveChannels(BaseModel):
    """Moments of each channel in z units, in which training has mean 0 and variance about 1."""

    mean: list[float]
    mean_error: list[float | None] = Field(
        description="Standard error of the mean. It counts rows, not positions; null for fewer than two rows."
    )
    variance: list[float]
    variance_error: list[float | None] = Field(
        description="Standard error of the variance. It counts rows, not positions; null for fewer than two rows."
    )
    mean_shift: list[float] = Field(
        description="Mean minus the reference's, in the reference's standard deviations. Without a reference, this and "
        "the next two compare with mean 0 and variance 1."
    )
    log2_variance_ratio: list[float] = Field(
        description="Binary logarithm of the variance over the reference's, at least that of 0.01."
    )
    symmetric_kl: list[float] = Field(description="Symmetric KL divergence from the reference, in nats.")


class ReferenceChannels(BaseModel):
    """Moments of each channel over the held-out rows, in z units."""

    mean: list[float]
    variance: list[float]
    rows: int


class LiveLayer(BaseModel):
    """What a layer has seen in a window of time."""

    model: str
    version: str
    layer: str
    window: Window
    rows: int
    since: datetime | None = Field(description="When the first of these rows was observed; null if there are none.")
    units: Literal["z"] = "z"
    channels: LiveChannels | None = Field(description="Null until a row is observed.")
    reference: ReferenceChannels | None = Field(description="Null for a version without held-out rows.")


class ObservationCost(BaseModel):
    """What observing has cost since the service started, on all replicas."""

    batches: int = Field(description="Batches observed.")
    rows: int = Field(description="Rows observed.")
    dropped_batches: int = Field(description="Batches predicted but not observed, to stay within `watch_percent`.")
    seconds: float = Field(description="Processor time.")


class LiveLayerSummary(BaseModel):
    """A layer in a window, with its most shifted channels only."""

    name: str
    num_features: int = Field(description="Number of channels.")
    placement: str
    symmetric_kl: float | None = Field(
        description="Symmetric KL divergence from the reference, mean over channels. Null until a row is observed."
    )
    wasserstein: float | None = Field(
        description="2-Wasserstein distance from the reference in standard deviations, mean over channels."
    )
    worst_channels: list[ChannelDrift]


class LiveModel(BaseModel):
    """What all layers of a version have seen in a window of time."""

    model: str
    version: str
    window: Window
    rows: int
    since: datetime | None = Field(description="When the first of these rows was observed; null if there are none.")
    observed: ObservationCost
    layers: list[LiveLayerSummary]


def router(catalog: Catalog, monitor: DriftMonitor) -> APIRouter:
    """Live statistics of all layers of a version, and of one of them with all its channels."""
    routes = api_router("watch", PUBLIC)
    responses = error_responses(400, 404, 503)

    @for_default_and_named(
        routes, "GET", "/v2/models/{model}/live", summary="Live statistics of all layers", responses=responses
    )
    def get_live_model(model: ModelName, version: int | None, window: LiveWindow = "1h") -> LiveModel:
        """How far each normalisation layer's input is from its reference, and in which channels most."""
        served = catalog.get(model, version)
        observed = monitor.of(served)
        bucket, effort = observed.window(window), observed.service_effort
        shifts = observed.assessor.assess(bucket).layers
        return LiveModel(
            model=served.model,
            version=str(served.version),
            window=window,
            rows=bucket.rows,
            since=_since(bucket),
            observed=ObservationCost(
                batches=effort.batches, rows=effort.rows, dropped_batches=effort.skipped, seconds=effort.seconds
            ),
            layers=[_summary(layer, shifts.get(layer.name)) for layer in served.manifest.layers],
        )

    @for_default_and_named(
        routes,
        "GET",
        "/v2/models/{model}/layers/{layer}/live",
        summary="Live statistics of a layer",
        responses=responses,
    )
    def get_live_layer(model: ModelName, version: int | None, layer: LayerName, window: LiveWindow = "1h") -> LiveLayer:
        """Mean and variance of each channel in production and over the held-out rows, and how far they are apart."""
        served = catalog.get(model, version)
        served.layer(layer)
        observed = monitor.of(served)
        assessor, bucket = observed.assessor, observed.window(window)
        moments = bucket.layers.get(layer)
        return LiveLayer(
            model=served.model,
            version=str(served.version),
            layer=layer,
            window=window,
            rows=0 if moments is None else moments.count,
            since=_since(bucket),
            channels=_channels(moments, assessor.channel_shifts(layer, moments)) if moments and moments.count else None,
            reference=_reference(served.manifest.drift, layer),
        )

    return routes


def _summary(layer: WatchedLayer, shift: LayerShift | None) -> LiveLayerSummary:
    return LiveLayerSummary(
        name=layer.name,
        num_features=layer.num_features,
        placement=layer.placement.kind,
        symmetric_kl=None if shift is None else shift.symmetric_kl,
        wasserstein=None if shift is None else shift.wasserstein,
        worst_channels=[] if shift is None else list(map(ChannelDrift.of, shift.worst_channels)),
    )


def _reference(drift: DriftReference | None, layer: str) -> ReferenceChannels | None:
    if drift is None or layer not in drift.layers:
        return None
    known = drift.layers[layer]
    variance = np.array(known.mean_square) - np.square(known.mean)
    return ReferenceChannels(mean=list(known.mean), variance=list(variance), rows=drift.rows)


def _channels(moments: WindowMoments, shifts: ChannelShifts) -> LiveChannels:
    return LiveChannels(
        mean=list(moments.mean),
        mean_error=_finite_or_none(moments.mean_error),
        variance=list(moments.variance),
        variance_error=_finite_or_none(moments.variance_error),
        mean_shift=list(shifts.mean_shift),
        log2_variance_ratio=list(shifts.log2_variance_ratio),
        symmetric_kl=list(shifts.symmetric_kl),
    )


def _finite_or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _since(bucket: Bucket) -> datetime | None:
    return to_date(bucket.since) if bucket.rows else None
