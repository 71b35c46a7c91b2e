"""The schema of `manifest.json`, which describes a bundle.

Per-channel numbers are written with the shortest digits that give back the same float32 (or float64) bits.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field, model_validator

from models.classification import ScoreKind
from models.datatypes import Datatype

SCHEMA_VERSION: Literal[2] = 2

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Names are folder names and parts of URLs: no separators, no leading dot, at most 128 characters."""

Capability = Literal[
    "batching",
    "watching",
    "layer_statistics",
    "reference",
    "recalibration",
    "folding",
    "images",
    "text",
    "generation",
]
"""What can be done with a version besides predicting: see `models.capabilities`."""

ModelName = Annotated[str, StringConstraints(pattern=rf"^{MODEL_NAME.pattern}$")]
Channels = tuple[float, ...]
"""One number per channel, shape (C,)."""


class Record(BaseModel):
    """Base of all parts: immutable. Unknown fields are errors, and so are numbers that JSON cannot hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(Record):
    """An input or output of the model."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = Field(
        description="-1 for a free size; none for a scalar. The first axis is the batch, if the model has one"
    )

    @property
    def has_free_first_axis(self) -> bool:
        """Whether the first axis can be the batch: it exists, and takes any size."""
        return self.shape[:1] == (-1,)

    def accepts_shape(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape is one of the specification."""
        return len(shape) == len(self.shape) and all(
            size in (-1, given) for size, given in zip(self.shape, shape, strict=True)
        )

    @property
    def num_classes(self) -> int | None:
        """Number of class scores in each row; None for text, for a single score, and for any rank but 2."""
        if self.datatype == "BYTES" or len(self.shape) != 2 or self.shape[1] < 2:
            return None
        return self.shape[1]


class ImagePreprocessing(Record):
    """How an image becomes one row of the input: ``(pixel * scale - mean) / std``, channels first."""

    mode: Literal["grey", "rgb"]
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    scale: float = Field(description="factor of the pixel values, which are 0 to 255, e.g. 1/255")
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


Token = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Tokenization(Record):
    """How a text becomes one row of the input: the indices of its tokens, repeated up to `max_tokens`.

    `models.tokenization` splits a text into tokens.
    """

    max_tokens: int = Field(gt=0, le=1024, description="of a text; longer ones are refused")
    vocabulary: tuple[Token, ...] = Field(
        min_length=1,
        max_length=1 << 17,
        description="tokens by index, from 1: index 0 stands for every other token",
    )

    @model_validator(mode="after")
    def _tokens_are_distinct(self) -> "Tokenization":
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError("vocabulary: a token is there twice")
        return self


class Generation(Record):
    """How a generator's input is drawn, and how a row of its first output becomes an image.

    A row of the input is noise, standard normal numbers. In a conditional model as many numbers as there are classes
    follow: 1 for the class of the image, 0 for the others. `models.generation` draws them.
    """

    classes: tuple[str, ...] = Field(
        default=(), description="names of the classes that an image can be of; none if the model is not conditional"
    )
    image: ImagePreprocessing = Field(
        description="of the images: a value of the output is (pixel * scale - mean) / std, as in an input"
    )


class Placement(Record):
    """Where a norm layer of the source graph is in the folded graph, and how to read its output there.

    The layer's output is ``scale * tensor + shift`` per channel, channels on axis `axis` of `tensor`. Scale and shift
    are absent if the tensor is the output itself.
    """

    kind: Literal["folded_back", "folded_forward", "kept"] = Field(
        description="folded into the layers before it, into the layers after it, or kept as one scale and shift"
    )
    into: tuple[str, ...] = Field(default=(), description="names of the nodes whose weights include the layer")
    reason: str | None = Field(default=None, description="why the layer was kept")
    proven: bool = Field(
        default=False,
        description="whether the reason shows that no weights before the layer, and none after it, can take it; "
        "otherwise no fold is known",
    )
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


LayerKind = Literal["batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "activation", "positions"]
"""What a watched layer is. Only batch normalisation has running statistics, which can be folded and re-calibrated.
"positions" are moments of where the values of another one are."""


class WatchedLayer(Record):
    """A layer whose output is observed. Its z units are ``(y - beta) / gamma`` per channel."""

    name: str
    kind: LayerKind
    num_features: int = Field(gt=0, description="number of channels")
    gamma: Channels | None = Field(
        default=None, description="learned scale per channel (torch: weight); absent where it is not one per channel"
    )
    beta: Channels | None = Field(default=None, description="learned shift per channel (torch: bias)")
    placement: Placement
    unwatched: str | None = Field(default=None, description="why the layer is not observed after all")

    @model_validator(mode="after")
    def _one_number_per_channel(self) -> "WatchedLayer":
        for field in ("gamma", "beta", "running_mean", "running_var"):
            values = getattr(self, field, None)
            if values is not None and len(values) != self.num_features:
                raise ValueError(
                    f"layer '{self.name}': {field} has {len(values)} values for {self.num_features} channels"
                )
        if (self.gamma is None) != (self.beta is None):
            raise ValueError(f"layer '{self.name}': gamma and beta come together")
        return self


class NormLayer(WatchedLayer):
    """A batch-normalisation layer of the source graph: its parameters, its stored statistics, and its placement."""

    kind: Literal["batch_norm"] = "batch_norm"
    running_mean: Channels = Field(description="mean of the layer's input at training time, per channel")
    running_var: Channels = Field(description="variance of the layer's input at training time, per channel")
    gamma: Channels = Field(description="learned scale per channel (torch: weight)")
    beta: Channels = Field(description="learned shift per channel (torch: bias)")
    eps: float = Field(gt=0, description="added to the variance before the root")
    momentum: float = Field(ge=0, le=1, description="fraction of the running value kept at each training step")

    @model_validator(mode="after")
    def _variances_are_not_negative(self) -> "NormLayer":
        if min(self.running_var) < 0:
            raise ValueError(f"layer '{self.name}': running_var has a negative value")
        return self


class Batching(Record):
    """How requests to this model are batched. The service's settings hold for fields that are absent."""

    max_batch_rows: int | None = Field(
        default=None, ge=1, le=1 << 16, description="most rows of a batch; 1 disables batching"
    )
    batch_wait_ms: float | None = Field(
        default=None, ge=0, le=60_000, description="how long a batch that is not full waits for more requests"
    )
    inline_ms: float | None = Field(
        default=None,
        ge=0,
        le=60_000,
        description="runs that are expected to be shorter start at once, without batching",
    )


class ParityComparison(Record):
    """The largest difference between two graphs that should compute the same function."""

    reference: str
    candidate: str
    max_absolute: float = Field(ge=0)
    max_relative: float = Field(
        ge=0, description="largest difference, divided by the largest value of the same tensor of the reference"
    )
    share_of_tolerance: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="largest max_relative of a tensor, divided by the tolerance of that tensor; moments of norm layers "
        "have tolerances of their own",
    )


class Parity(Record):
    """The comparisons that the graphs passed before they were published."""

    rows: int = Field(ge=0)
    seed: int
    rounding: float | None = Field(
        default=None,
        ge=0,
        description="largest change of an output of the source graph, relative to its largest value, when every input "
        "moves to a neighbouring number of its type; absent where a tolerance was given",
    )
    tolerance: float = Field(
        gt=0, description="bound on max_relative for the outputs: given, or a multiple of their rounding"
    )
    comparisons: tuple[ParityComparison, ...]
    skipped: str | None = Field(
        default=None, description="why nothing was compared, for a version that is served as it came"
    )

    @model_validator(mode="after")
    def _nothing_is_skipped_silently(self) -> "Parity":
        if bool(self.comparisons) == (self.skipped is not None):
            raise ValueError("parity needs comparisons, or the reason why there are none")
        return self


class Parent(Record):
    """The version that this one was made from."""

    model: ModelName
    version: int = Field(gt=0)


class Gate(Record):
    """One check of a version before it is published: a figure and its bounds."""

    name: str
    about: str = Field(description="what the figure is")
    figure: float | None = Field(description="null for a figure that is not finite, which does not pass")
    lower: float | None = Field(default=None, description="smallest figure that passes")
    upper: float | None = Field(default=None, description="largest figure that passes")
    outvoted: bool = Field(
        default=False, description="a gain on labelled rows counts for more: the version is published either way"
    )

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


class StoredWeights(Record):
    """How much of a layer's new statistics the parent's are: 1 leaves them as they were, 0 ignores them."""

    mean: float = Field(ge=0, le=1, description="weight of the parent's mean in the new one")
    variance: float = Field(ge=0, le=1, description="weight of the parent's variance in the new one")


class AccuracyEstimate(Record):
    """An accuracy that was estimated without labels, and the interval that it is in nine times of ten."""

    accuracy: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    def is_better_than(self, other: "AccuracyEstimate") -> bool:
        """Whether the whole interval is above the other estimate."""
        return self.low > other.accuracy

    def __str__(self) -> str:
        """In percent, with the interval."""
        return f"{100 * self.accuracy:.1f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"


class RecalibrationRecord(Record):
    """How a version's statistics were estimated, and the gates that were checked before it was published."""

    rows: int = Field(gt=0, description="unlabelled rows that the statistics were estimated from")
    prior: float | None = Field(
        default=None,
        ge=0,
        description="number of rows that the parent's statistics counted as; absent: estimated for each layer",
    )
    weights: dict[str, StoredWeights] = Field(
        default_factory=dict, description="of the parent's statistics in the new ones, by layer"
    )
    accuracy_before: AccuracyEstimate | None = Field(
        default=None, description="estimated accuracy of the parent on the rows; absent where it cannot be estimated"
    )
    accuracy_after: AccuracyEstimate | None = Field(
        default=None, description="estimated accuracy of this version on the rows"
    )
    gates: tuple[Gate, ...]
    forced: bool = Field(default=False, description="published on request although a gate did not pass")


class ReferenceRecord(Record):
    """How a version's reference was estimated, and the gates that were checked before it was published."""

    rows: int = Field(gt=0, description="rows that the reference was estimated from")
    gates: tuple[Gate, ...]
    forced: bool = Field(default=False, description="published on request although a gate did not pass")


class Speed(Record):
    """How long a run takes, beside the parent: both in turn, on one core of the machine that made the version."""

    rows: int = Field(gt=0, description="of the run")
    parent_ms: float = Field(gt=0, description="median of the parent's runs")
    own_ms: float = Field(gt=0, description="median of this version's runs")
    ratio: float = Field(gt=0, description="median over pairs of runs: the parent's time, divided by this version's")


class QuantizationRecord(Record):
    """How a version came to compute in 8 bits, what that changes, and the gates that were checked."""

    ranges_from: Literal["rows", "batch_norm"] = Field(
        description="what the ranges of activations were found from: rows, or beta and gamma of the layers alone"
    )
    rows: int = Field(ge=0, description="rows that the ranges were measured on")
    layers: int = Field(gt=0, description="convolutions and linear layers that compute in 8 bits")
    float_layers: dict[str, str] = Field(description="those that do not, by node, and why")
    ranges: dict[str, tuple[float, float]] = Field(
        description="lowest and highest value that each quantised tensor of the graph can have"
    )
    compared_rows: int = Field(ge=0, description="rows that the version was compared with its parent on")
    agreement: float | None = Field(
        default=None, ge=0, le=1, description="share of these rows with the parent's class; absent without classes"
    )
    max_probability_difference: float | None = Field(
        default=None, ge=0, le=1, description="largest difference of a class's probability to the parent's"
    )
    accuracy_before: float | None = Field(
        default=None, ge=0, le=1, description="of the parent; absent where the rows have no labels"
    )
    accuracy_after: float | None = Field(default=None, ge=0, le=1, description="of this version")
    speeds: tuple[Speed, ...]
    processor: str = Field(description="that the speeds were measured on")
    gates: tuple[Gate, ...]
    forced: bool = Field(default=False, description="published on request although a gate did not pass")


class HalfWeights(Record):
    """What rounding the weights to half precision changes in the outputs of the version.

    It is compared with itself in float32, whose graphs have passed `parity` before.
    """

    weights: int = Field(gt=0, description="of the served graph that were rounded")
    rows: int = Field(gt=0, description="compared: held-out rows, or random ones where there are none")
    agreement: float | None = Field(
        default=None, ge=0, le=1, description="share of these rows whose class stays; absent without classes"
    )
    max_absolute: float = Field(ge=0, description="largest difference of an output")
    max_relative: float = Field(
        ge=0, description="largest difference, divided by the largest value of the same output in a run of 64 rows"
    )


Origin = Literal["trained", "imported", "recalibrated", "referenced", "quantized"]


class Lineage(Record):
    """Where the version came from."""

    origin: Origin = Field(
        description="`referenced`: the parent, with a reference from other rows; `quantized`: the parent, in 8 bits"
    )
    created_at: datetime
    created_by: str = Field(description="program and version, e.g. 'denge 0.1.0'")
    parent: Parent | None = None
    recalibration: RecalibrationRecord | None = None
    reference: ReferenceRecord | None = None
    quantization: QuantizationRecord | None = None

    @property
    def recalibrated_from(self) -> int | None:
        """The version that a re-calibrated one was made from; None for any other version."""
        return None if self.recalibration is None or self.parent is None else self.parent.version

    @model_validator(mode="after")
    def _quantized_from_a_parent(self) -> "Lineage":
        if (self.origin == "quantized") != (self.quantization is not None):
            raise ValueError("a quantised version needs a record of its quantisation, and no other version has one")
        if self.quantization is not None and self.parent is None:
            raise ValueError("a quantised version needs a parent")
        return self

    @model_validator(mode="after")
    def _referenced_from_a_parent(self) -> "Lineage":
        if (self.origin == "referenced") != (self.reference is not None):
            raise ValueError("a version with another reference needs a record of it, and no other version has one")
        if self.reference is not None and self.parent is None:
            raise ValueError("a version with another reference needs a parent")
        return self

    @model_validator(mode="after")
    def _recalibrated_from_a_parent(self) -> "Lineage":
        if (self.origin == "recalibrated") != (self.recalibration is not None):
            raise ValueError(
                "a re-calibrated version needs a record of its re-calibration, and no other version has one"
            )
        if self.recalibration is not None and self.parent is None:
            raise ValueError("a re-calibrated version needs a parent")
        return self


Thresholds = tuple[tuple[float, ...], ...]
"""Thresholds of a statistic, [window][false-alarm rate]: for each size of window and each rate of `DriftReference`."""


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
    thresholds: Thresholds = Field(
        description="of the layer's statistic: the larger of the two, each relative to its usual value"
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
            usual = (layer.usual_deviation, layer.usual_divergence)
            per_window = (*usual, layer.kl_noise, layer.wasserstein_noise, self.windows)
            if len(set(map(len, per_channel))) != 1 or len(set(map(len, per_window))) != 1:
                raise ValueError("a layer's reference needs one number per channel, and others one per window")
        return self


TopologyNodeKind = Literal["input", "layer", "join", "output"]
"""What is at a node of the topology. At a join, an operator reads what several nodes compute."""


class TopologyNode(Record):
    """A layer, an input, an output, or an operator that joins several of them."""

    kind: TopologyNodeKind
    name: str = Field(description="of the layer, the input or the output; of a join, its operator, e.g. `Add`")
    sources: tuple[int, ...] = Field(
        description="nodes that it is computed from, with no other node in between: their places in the list, from 0"
    )


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


class Manifest(Record):
    """One version of a model."""

    schema_version: Literal[2] = SCHEMA_VERSION
    model: ModelName
    description: str = ""
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    labels: tuple[str, ...] | None = Field(default=None, description="names of the classes, in the order of the output")
    scores: ScoreKind = Field("logits", description="kind of the class scores in the first output")
    preprocessing: ImagePreprocessing | None = None
    tokenization: Tokenization | None = None
    generation: Generation | None = Field(default=None, description="absent for a model that is no generator")
    batching: Batching | None = Field(
        default=None, description="absent for a model that is batched as the service's settings say"
    )
    batch_axis: bool | None = Field(
        default=None,
        description="whether the first axis of every tensor is the batch, whose rows do not depend on each other; "
        "absent: it is where that axis is of free size in every tensor",
    )
    limits: dict[Capability, str] = Field(
        default_factory=dict,
        description="what was found not to be possible with this version when it was made, and why",
    )
    warnings: tuple[str, ...] = Field(default=(), description="what its publisher should know, and can do")
    norm_layers: tuple[NormLayer, ...] = Field(description="the batch-normalisation layers")
    watched_layers: tuple[WatchedLayer, ...] = Field(
        default=(),
        description="layers of other kinds that are observed too: of other normalisations, or, where there is none, "
        "some activations",
    )
    topology: tuple[TopologyNode, ...] = Field(
        default=(),
        description="the layers as a graph, each node after its sources; empty for a version of an earlier release",
    )
    parity: Parity
    half_weights: HalfWeights | None = Field(
        default=None, description="absent for a version whose weights are stored as they are"
    )
    drift: DriftReference | None = Field(default=None, description="absent for a version without held-out rows")
    lineage: Lineage
    training: TrainingRecord | None = None
    training_history: TrainingHistory | None = Field(
        default=None, description="absent for a version whose layers were not watched while it was trained"
    )

    @model_validator(mode="after")
    def _batch_axis_is_free(self) -> "Manifest":
        if self.batch_axis and not self._has_free_first_axes:
            raise ValueError("batch_axis: the first axis of every input and output must be of free size, -1")
        return self

    @model_validator(mode="after")
    def _topology_is_in_order(self) -> "Manifest":
        names = {layer.name for layer in self.layers}
        for at, node in enumerate(self.topology):
            if node.kind == "layer" and node.name not in names:
                raise ValueError(f"topology: node {at} is layer '{node.name}', which the version does not have")
            if any(not 0 <= source < at for source in node.sources):
                raise ValueError(f"topology: the sources of node {at} must be nodes before it")
        return self

    @model_validator(mode="after")
    def _tokens_fit_the_input(self) -> "Manifest":
        if self.tokenization is None:
            return self
        if self.preprocessing is not None:
            raise ValueError("a model takes images or texts: preprocessing and tokenization exclude each other")
        if (
            len(self.inputs) != 1
            or self.inputs[0].datatype != "INT64"
            or not self.inputs[0].accepts_shape((1, self.tokenization.max_tokens))
        ):
            raise ValueError("tokenization: the model must have one input, INT64 of shape [-1, max_tokens]")
        return self

    @model_validator(mode="after")
    def _generator_has_noise_and_images(self) -> "Manifest":
        if self.generation is None:
            return self
        row, image = self.inputs[0].shape[1:], self.generation.image
        is_fixed = self.inputs[0].datatype == "FP32" and self.inputs[0].has_free_first_axis and min(row, default=0) > 0
        if len(self.inputs) != 1 or not is_fixed or prod(row) <= len(self.generation.classes):
            raise ValueError("generation: the model must have one input, FP32 of shape [-1, n], for noise and classes")
        if self.outputs[0].shape != (-1, len(image.mean), image.height, image.width):
            raise ValueError(
                "generation: the first output must have the shape of its images, [-1, channels, height, width]"
            )
        return self

    @property
    def layers(self) -> tuple[WatchedLayer, ...]:
        """All layers: those of batch normalisation, then those of other kinds."""
        return (*self.norm_layers, *self.watched_layers)

    @property
    def is_batchable(self) -> bool:
        """Whether the first axis of every tensor is the batch, so that rows of several requests may share a run."""
        return self._has_free_first_axes if self.batch_axis is None else self.batch_axis

    @property
    def _has_free_first_axes(self) -> bool:
        return all(spec.has_free_first_axis for spec in (*self.inputs, *self.outputs))

    @property
    def num_classes(self) -> int | None:
        """Number of classes that the first output has scores for; None for a model that does not classify rows."""
        if not self.is_batchable:
            return None
        output = self.outputs[0]
        if self.labels is not None and len(output.shape) == 2 and output.shape[1] == -1:
            output = output.model_copy(update={"shape": (output.shape[0], len(self.labels))})
        return output.num_classes


def channels(values: NDArray[np.floating]) -> Channels:
    """Numbers per channel as the manifest has them: the shortest digits that give back the same bits."""
    return tuple(orjson.loads(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)))
