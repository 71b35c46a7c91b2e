"""The schema of `manifest.json`: everything a bundle says about itself.

Per-channel numbers are written with the shortest digits that give back the same float32 (or float64) bits.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field, model_validator

from models.classification import ScoreKind
from models.datatypes import Datatype

SCHEMA_VERSION: Literal[1] = 1

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Names are folder names and parts of URLs: no separators, no leading dot, at most 128 characters."""

ModelName = Annotated[str, StringConstraints(pattern=rf"^{MODEL_NAME.pattern}$")]
Channels = tuple[float, ...]
"""One number per channel, shape (C,)."""


class Record(BaseModel):
    """Base of all parts: immutable; a field that is not known is an error, and so is a number that JSON cannot hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(Record):
    """An input or output of the model."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = Field(min_length=1, description="-1 where the size is free; the first axis is the batch")

    @property
    def num_classes(self) -> int | None:
        """Number of classes that each row has a score for; None for text, one score a row, or another rank than 2."""
        if self.datatype == "BYTES" or len(self.shape) != 2 or self.shape[1] < 2:
            return None
        return self.shape[1]


class ImagePreprocessing(Record):
    """How the bytes of an image become one row of the input: ``(pixel * scale - mean) / std``, channels first."""

    mode: Literal["grey", "rgb"]
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    scale: float = Field(description="what a pixel value of 0 to 255 is multiplied by, e.g. 1/255")
    mean: Channels = Field(description="subtracted per colour channel, after scaling")
    std: Channels = Field(description="divided by per colour channel, after scaling")

    @model_validator(mode="after")
    def _one_number_per_channel(self) -> "ImagePreprocessing":
        channels = {"grey": 1, "rgb": 3}[self.mode]
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"mode '{self.mode}' needs {channels} values each of mean and std")
        if any(value <= 0 for value in self.std):
            raise ValueError("std must be positive")
        return self


class Placement(Record):
    """Where a norm layer of the source graph is in the folded graph, and how to read its output there.

    The layer's output is ``scale * tensor + shift`` per channel, channels on axis `axis` of `tensor`. Both are absent
    when the tensor is the output itself.
    """

    kind: Literal["folded_back", "folded_forward", "kept"] = Field(
        description="folded into the layers before it, into the layers after it, or kept as one scale and shift"
    )
    into: tuple[str, ...] = Field(default=(), description="names of the nodes whose weights took it up")
    reason: str | None = Field(default=None, description="why it was not folded")
    tensor: str = Field(description="name of a tensor of the folded graph")
    axis: int = 1
    scale: Channels | None = None
    shift: Channels | None = None

    @model_validator(mode="after")
    def _kept_has_a_reason(self) -> "Placement":
        if (self.kind == "kept") != (self.reason is not None):
            raise ValueError("a kept layer needs a reason, a folded one has none")
        if (self.scale is None) != (self.shift is None):
            raise ValueError("scale and shift come together")
        return self


class NormLayer(Record):
    """One batch-normalisation layer of the source graph: what it remembers, and where it went."""

    name: str
    num_features: int = Field(gt=0, description="number of channels")
    running_mean: Channels = Field(description="mean of the layer's input at training time, per channel")
    running_var: Channels = Field(
        description="variance of the layer's input at training time, per channel, in its square"
    )
    gamma: Channels = Field(description="learnt scale per channel (torch: weight)")
    beta: Channels = Field(description="learnt shift per channel (torch: bias)")
    eps: float = Field(gt=0, description="added to the variance before the root")
    momentum: float = Field(ge=0, le=1, description="fraction of the running value kept at each training step")
    placement: Placement

    @model_validator(mode="after")
    def _one_number_per_channel(self) -> "NormLayer":
        for field in ("running_mean", "running_var", "gamma", "beta"):
            values = getattr(self, field)
            if len(values) != self.num_features:
                raise ValueError(
                    f"layer '{self.name}': {field} has {len(values)} values for {self.num_features} channels"
                )
        if min(self.running_var) < 0:
            raise ValueError(f"layer '{self.name}': running_var has a negative value")
        return self


class Batching(Record):
    """How requests to this model are joined into runs, where it is not as the service's settings say."""

    max_batch_rows: int | None = Field(default=None, ge=1, le=1 << 16, description="rows of a run; 1 joins none")
    batch_wait_ms: float | None = Field(
        default=None, ge=0, le=60_000, description="how long a batch that is not full may wait for more"
    )
    inline_ms: float | None = Field(
        default=None, ge=0, le=60_000, description="runs expected to be shorter are done at once, and not joined"
    )


class ParityComparison(Record):
    """Largest difference found between two runs of what should be one function."""

    reference: str
    candidate: str
    max_absolute: float = Field(ge=0)
    max_relative: float = Field(
        ge=0, description="largest difference over the largest reference value of the same output"
    )


class Parity(Record):
    """The checks that the graphs passed before they were published."""

    rows: int = Field(gt=0)
    seed: int
    tolerance: float = Field(gt=0, description="bound on max_relative")
    comparisons: tuple[ParityComparison, ...]


class Parent(Record):
    """The version that this one was made from."""

    model: ModelName
    version: int = Field(gt=0)


class Gate(Record):
    """One check that a re-calibrated version went through before it was published: a figure and its bounds."""

    name: str
    about: str = Field(description="what the figure is")
    figure: float | None = Field(description="null where it is not a finite number, which never passes")
    lower: float | None = Field(default=None, description="the least that passes")
    upper: float | None = Field(default=None, description="the most that passes")

    @model_validator(mode="before")
    @classmethod
    def _recompute_passed(cls, values: Any) -> Any:
        """Reads what was written: `passed` follows from the other fields."""
        return (
            {name: value for name, value in values.items() if name != "passed"} if isinstance(values, dict) else values
        )

    @computed_field(description="whether the figure is finite and within its bounds")  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether the figure is within its bounds."""
        if self.figure is None:
            return False
        return (self.lower is None or self.figure >= self.lower) and (self.upper is None or self.figure <= self.upper)


class RecalibrationRecord(Record):
    """How the statistics of a version were estimated, and what was checked before it was published."""

    rows: int = Field(gt=0, description="unlabelled rows that the statistics were estimated from")
    prior: float = Field(ge=0, description="rows that the parent's statistics counted for")
    gates: tuple[Gate, ...]
    forced: bool = Field(default=False, description="published although a gate did not pass, on somebody's word")


class Lineage(Record):
    """Where the version came from."""

    origin: Literal["trained", "imported", "recalibrated"]
    created_at: datetime
    created_by: str = Field(description="program and version, e.g. 'denge 0.1.0'")
    parent: Parent | None = None
    recalibration: RecalibrationRecord | None = None

    @model_validator(mode="after")
    def _recalibrated_from_a_parent(self) -> "Lineage":
        if (self.origin == "recalibrated") != (self.recalibration is not None):
            raise ValueError("a re-calibrated version has a record of that, and no other has")
        if self.recalibration is not None and self.parent is None:
            raise ValueError("a re-calibrated version has a parent")
        return self


Thresholds = tuple[tuple[float, ...], ...]
"""Of a statistic of windows, [window][false-alarm rate]: see `DriftReference`."""


class LayerReference(Record):
    """What a norm layer's rows look like while nothing has moved, in z units, from held-out rows.

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
        description="likewise the mean symmetric KL divergence, in squared standard errors, [window]"
    )
    thresholds: Thresholds = Field(description="of the layer's statistic: the larger of the two, relative to these")
    kl_noise: tuple[float, ...] = Field(description="symmetric KL divergence that chance alone makes, [window]")
    wasserstein_noise: tuple[float, ...] = Field(description="squared Wasserstein distance that it makes, [window]")


class ClassLayer(Record):
    """What a norm layer's rows look like in those of one predicted class, [class][channel], in z units."""

    mean: tuple[Channels, ...]
    mean_square: tuple[Channels, ...]
    mean_spread: tuple[Channels, ...] = Field(description="standard deviation over rows of one class")
    square_spread: tuple[Channels, ...]


class ClassReference(Record):
    """What the model says of the held-out rows, and what the layers meet in those of one predicted class."""

    counts: tuple[int, ...] = Field(description="held-out rows by predicted class")
    thresholds: Thresholds = Field(description="of the statistic that compares the counts of a window with these")
    layers: dict[str, ClassLayer] = Field(description="empty where it would be larger than the model")
    given_thresholds: Thresholds = Field(
        description="of the statistic over all layers that takes the classes of a window as given"
    )


class DriftReference(Record):
    """What held-out rows say about windows of rows in which nothing has moved: see `models.drift.calibration`."""

    rows: int = Field(gt=1, description="held-out rows")
    windows: tuple[int, ...] = Field(min_length=1, description="sizes of windows, in rows, ascending")
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
            usual = (layer.usual_deviation, layer.usual_divergence)
            per_window = (*usual, layer.kl_noise, layer.wasserstein_noise, self.windows)
            if len(set(map(len, per_channel))) != 1 or len(set(map(len, per_window))) != 1:
                raise ValueError("a layer's reference needs one number per channel, and others one per window")
        return self


class TrainingRecord(Record):
    """How the weights came about: enough to do it again."""

    config: dict[str, str | int | float | bool | None]
    metrics: dict[str, float]


class Manifest(Record):
    """One version of a model."""

    schema_version: Literal[1] = SCHEMA_VERSION
    model: ModelName
    description: str = ""
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    labels: tuple[str, ...] | None = Field(default=None, description="names of the classes, in the order of the output")
    scores: ScoreKind = Field("logits", description="what the first output holds for the classes")
    preprocessing: ImagePreprocessing | None = None
    batching: Batching | None = Field(default=None, description="the service's settings when absent")
    norm_layers: tuple[NormLayer, ...]
    parity: Parity
    drift: DriftReference | None = Field(default=None, description="absent where there were no held-out rows")
    lineage: Lineage
    training: TrainingRecord | None = None

    @property
    def batchable(self) -> bool:
        """Whether rows of several requests may share a run: all tensors have a free first axis."""
        return all(spec.shape[0] == -1 for spec in (*self.inputs, *self.outputs))

    @property
    def num_classes(self) -> int | None:
        """Number of classes that the first output has scores for; None for a model that does not classify."""
        output = self.outputs[0]
        if self.labels is not None and len(output.shape) == 2 and output.shape[1] == -1:
            output = output.model_copy(update={"shape": (output.shape[0], len(self.labels))})
        return output.num_classes


def channels(values: NDArray[np.floating]) -> Channels:
    """Per-channel numbers as the manifest writes them: the shortest digits that give back the same bits."""
    return tuple(float(str(value)) for value in values)
