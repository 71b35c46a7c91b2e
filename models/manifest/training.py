"""How the weights were trained, and how the statistics of the layers came about."""

from pydantic import Field, model_validator

from models.manifest.record import Record


class TrainingRecord(Record):
    """How the weights were trained: enough to repeat it."""

    config: dict[str, str | int | float | bool | None]
    metrics: dict[str, float]


Percentiles = tuple[float, ...]
"""Of one number per channel, over the channels of a layer: one for each of `TrainingHistory.percentiles`."""


class LayerHistory(Record):
    """The statistics of a norm layer at some steps of training, [step][percentile over its channels]."""

    batch_mean: tuple[Percentiles, ...] = Field(description="mean of the layer's input over the step's batch")
    batch_var: tuple[Percentiles, ...] = Field(description="variance over the batch, unbiased")
    running_mean: tuple[Percentiles, ...] = Field(description="average of the batches' means, after the step")
    running_var: tuple[Percentiles, ...] = Field(description="average of the batches' variances, after the step")
    gamma: tuple[Percentiles, ...] = Field(description="learned scale, after the step")
    beta: tuple[Percentiles, ...] = Field(description="learned shift, after the step")
    gradient_norm: tuple[float, ...] = Field(
        description="length of the loss's gradient by gamma and beta of all channels, [step]"
    )


class TrainingHistory(Record):
    """How the statistics of the norm layers came about. The steps are dense at the start, where most changes."""

    steps: tuple[int, ...] = Field(min_length=1, description="number of each step, ascending; the first one is 1")
    percentiles: tuple[float, ...] = Field(min_length=1, description="which are given, 0 to 100, ascending")
    layers: dict[str, LayerHistory]

    @model_validator(mode="after")
    def _one_value_per_step(self) -> "TrainingHistory":
        for name, layer in self.layers.items():
            for field, points in layer:
                if len(points) != len(self.steps) or any(
                    len(point) != len(self.percentiles) for point in points if isinstance(point, tuple)
                ):
                    raise ValueError(f"layer '{name}': {field} needs one value for each step and percentile")
        return self
