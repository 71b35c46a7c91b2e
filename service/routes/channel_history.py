"""How the distribution of one channel of a layer has gone over time, beside what it was in training."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from models.errors import InvalidInput
from models.manifest import DriftReference
from service.catalog.catalog import Catalog
from service.host.clock import to_date
from service.http.access import PUBLIC
from service.routes.drift import HistoryWindow
from service.routes.openapi import api_router, error_responses, example
from service.routes.parameters import LayerName, ModelName
from service.routes.versions import for_default_and_named
from service.watching.monitor import DriftMonitor

ChannelNumber = Annotated[int, Query(ge=0, description="From 0.", openapi_examples=example(0))]


class ChannelMoments(BaseModel):
    """Moments of a channel over some rows, in z units, in which training has mean 0 and variance about 1."""

    mean: float
    variance: float
    rows: int


class ChannelPoint(ChannelMoments):
    """A channel in a part of a window of time."""

    time: datetime = Field(description="End of the part.")


class ChannelHistory(BaseModel):
    """A channel over time."""

    model: str
    version: str
    layer: str
    channel: int
    window: HistoryWindow
    units: Literal["z"] = "z"
    points: list[ChannelPoint] = Field(description="Oldest first. Parts without rows are left out.")
    reference: ChannelMoments | None = Field(
        description="Over the held-out rows; null for a version without held-out rows."
    )


def router(catalog: Catalog, monitor: DriftMonitor) -> APIRouter:
    """One channel over time."""
    routes = api_router("watch", PUBLIC)

    @for_default_and_named(
        routes,
        "GET",
        "/v2/models/{model}/layers/{layer}/history",
        summary="A channel over time",
        responses=error_responses(400, 404, 503),
    )
    def get_channel_history(
        model: ModelName,
        version: int | None,
        layer: LayerName,
        channel: ChannelNumber = 0,
        window: HistoryWindow = "1h",
    ) -> ChannelHistory:
        """Mean and variance of one channel in each part of the window, and over the held-out rows."""
        served = catalog.get(model, version)
        channels = served.layer(layer).num_features
        if channel >= channels:
            raise InvalidInput(f"got {channel}, layer '{layer}' has channels 0 to {channels - 1}", "query.channel")
        points = [
            ChannelPoint(
                time=to_date(end),
                mean=float(moments.mean[channel]),
                variance=float(moments.variance[channel]),
                rows=moments.count,
            )
            for end, bucket in monitor.of(served).history(window)
            if (moments := bucket.layers.get(layer)) is not None and moments.count
        ]
        return ChannelHistory(
            model=served.model,
            version=str(served.version),
            layer=layer,
            channel=channel,
            window=window,
            points=points,
            reference=_reference(served.manifest.drift, layer, channel),
        )

    return routes


def _reference(drift: DriftReference | None, layer: str, channel: int) -> ChannelMoments | None:
    if drift is None or layer not in drift.layers:
        return None
    known = drift.layers[layer]
    mean = known.mean[channel]
    return ChannelMoments(mean=mean, variance=known.mean_square[channel] - mean**2, rows=drift.rows)
