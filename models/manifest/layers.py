"""The watched layers: their parameters, and where they are in the folded graph."""

from typing import Literal, Self

from pydantic import Field, model_validator

from models.manifest.record import Channels, Record


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

    @classmethod
    def outside(cls, tensor: str) -> Self:
        """Of what is no layer of the network, and is watched besides the layers."""
        reason = "it is no layer of the network: there is nothing to fold or to re-calibrate"
        return cls(kind="kept", reason=reason, tensor=tensor)

    @model_validator(mode="after")
    def _kept_has_a_reason(self) -> "Placement":
        if (self.kind == "kept") != (self.reason is not None):
            raise ValueError("a kept layer needs a reason, a folded one has none")
        if (self.scale is None) != (self.shift is None):
            raise ValueError("scale and shift come together")
        return self


LayerKind = Literal[
    "batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "activation", "image", "margin"
]
"""What a watched layer is. Only batch normalisation has running statistics, which can be folded and re-calibrated.
"image" are moments of the input's pixels, "margin" is how sure the network is of its class."""


class ImageShape(Record):
    """How a row of the input is an image. A flat row has its colour channels one after the other."""

    colours: int = Field(gt=0, description="number of colour channels")
    height: int = Field(gt=0, description="in pixels")
    width: int = Field(gt=0, description="in pixels")
    channels_last: bool = Field(default=False, description="whether the colour channels are the last axis of the input")


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
    several_per_row: Literal[True] | None = Field(
        default=None,
        description="true where the first axis of its tensor has several entries for each row, such as its time steps",
    )
    image: ImageShape | None = Field(default=None, description="what a layer of kind 'image' reads; absent for others")
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
        if (self.image is None) != (self.kind != "image"):
            raise ValueError(f"layer '{self.name}': kind 'image' comes with what it reads")
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
