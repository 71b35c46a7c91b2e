"""One version of a model: what `manifest.json` holds."""

from math import prod
from typing import Literal

from pydantic import Field, model_validator

from models.classification import ScoreKind
from models.manifest.batching import Batching
from models.manifest.drift import DriftReference
from models.manifest.layers import NormLayer, WatchedLayer
from models.manifest.lineage import Lineage
from models.manifest.parity import HalfWeights, Parity
from models.manifest.preprocessing import Generation, ImagePreprocessing, Tokenization
from models.manifest.record import ModelName, Record
from models.manifest.tensors import TensorSpec
from models.manifest.topology import TopologyNode
from models.manifest.training import TrainingHistory, TrainingRecord

SCHEMA_VERSION: Literal[2] = 2

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
