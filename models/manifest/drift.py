"""What is expected of the layers in production: statistics of the held-out rows, and thresholds."""

import base64
import binascii
from typing import Self

from pydantic import Field, model_validator

from models.manifest.record import Channels, Record

Thresholds = tuple[tuple[float, ...], ...]
"""Thresholds of a statistic, [window][false-alarm rate]: for each size of window and each rate of `DriftReference`."""


class LayerDirections(Record):
    """Combinations of a layer's channels that hardly vary over held-out rows: see `models.drift.directions`."""

    channels: tuple[int, ...] = Field(min_length=1, description="indices of the channels that are combined, ascending")
    weights: str = Field(
        description="float16, little-endian, in base64, [direction][channel]: of the channels' means, then of their "
        "mean squares, both in standard deviations over rows"
    )

    @model_validator(mode="after")
    def _one_weight_per_direction_and_number(self) -> Self:
        try:
            size = len(base64.b64decode(self.weights, validate=True))
        except binascii.Error as error:
            raise ValueError(f"weights are not base64: {error}") from None
        if not size or size % (4 * len(self.channels)):
            raise ValueError("directions need two weights per channel, of 2 bytes each")
        return self


class LayerReference(Record):
    """The statistics of a norm layer over held-out rows, in z units, and its thresholds.

    A row's mean and mean square are those over its positions; see `models.observation`.
    """

    mean: Channels = Field(description="average over rows of their means, per channel")
    mean_square: Channels = Field(description="average over rows of their mean squares, per channel")
    mean_spread: Channels = Field(description="standard deviation over rows of their means, per channel")
    square_spread: Channels = Field(description="standard deviation over rows of their mean squares, per channel")
    usual_deviation: tuple[float, ...] = Field(
        description="largest deviation of a channel, in standard errors, that one window in a hundred exceeds, [window]"
    )
    usual_divergence: tuple[float, ...] = Field(
        description="mean symmetric KL divergence, in squared standard errors, that one window in a hundred exceeds, "
        "[window]"
    )
    directions: LayerDirections | None = Field(
        default=None, description="in which channels hardly vary together; absent in versions of earlier releases"
    )
    usual_t_squared: tuple[float, ...] = Field(
        default=(),
        description="sum of squares along the directions, in squared standard errors, that one window in a hundred "
        "exceeds, [window]; empty without directions",
    )
    thresholds: Thresholds = Field(
        description="of the layer's statistic: the largest of these, each relative to its usual value. Windows of one "
        "row have no sum along directions"
    )
    kl_noise: tuple[float, ...] = Field(description="average symmetric KL divergence of undisturbed windows, [window]")
    wasserstein_noise: tuple[float, ...] = Field(description="average squared Wasserstein distance of them, [window]")


class ClassLayer(Record):
    """The statistics of a norm layer over the held-out rows of each predicted class, [class][channel], in z units."""

    mean: tuple[Channels, ...]
    mean_square: tuple[Channels, ...]
    mean_spread: tuple[Channels, ...] = Field(description="standard deviation of the means over the rows of a class")
    square_spread: tuple[Channels, ...] = Field(description="standard deviation of the mean squares")


class ClassReference(Record):
    """The predicted classes of the held-out rows, and the statistics of the layers for each of these classes."""

    counts: tuple[int, ...] = Field(description="held-out rows by predicted class")
    thresholds: Thresholds = Field(description="of the statistic that compares a window's counts with these")
    layers: dict[str, ClassLayer] = Field(
        description="empty for a model with so many classes and channels that this would be larger than the model"
    )
    given_thresholds: Thresholds = Field(
        description="of the statistic over all layers that takes the classes of a window as given"
    )


class DriftReference(Record):
    """Statistics of the held-out rows, and thresholds for windows of rows: see `models.drift.calibration`."""

    rows: int = Field(gt=1, description="held-out rows")
    windows: tuple[int, ...] = Field(min_length=1, description="rows of each size of window, ascending")
    false_alarm_rates: tuple[float, ...] = Field(min_length=1, description="per window, descending")
    thresholds: Thresholds = Field(description="of the statistic over all layers")
    layers: dict[str, LayerReference]
    classes: ClassReference | None = Field(default=None, description="absent for a model that does not classify")

    @model_validator(mode="after")
    def _one_threshold_per_window_and_rate(self) -> "DriftReference":
        tables = [self.thresholds, *(layer.thresholds for layer in self.layers.values())]
        if self.classes is not None:
            tables += [self.classes.thresholds, self.classes.given_thresholds]
        for table in tables:
            if [len(row) for row in table] != [len(self.false_alarm_rates)] * len(self.windows):
                raise ValueError("thresholds need one row per window and one column per false-alarm rate")
        for layer in self.layers.values():
            per_channel = (layer.mean, layer.mean_square, layer.mean_spread, layer.square_spread)
            usual: tuple[tuple[float, ...], ...] = (layer.usual_deviation, layer.usual_divergence)
            if layer.directions is not None:
                usual += (layer.usual_t_squared,)
                if not all(0 <= channel < len(layer.mean) for channel in layer.directions.channels):
                    raise ValueError("directions are over channels that the layer does not have")
            per_window = (*usual, layer.kl_noise, layer.wasserstein_noise, self.windows)
            if len(set(map(len, per_channel))) != 1 or len(set(map(len, per_window))) != 1:
                raise ValueError("a layer's reference needs one number per channel, and others one per window")
        return self
