"""The settings of a training run. They are part of every checkpoint and manifest, so they name no folder."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal, Self, get_args

from models.errors import InvalidInput

ModelKind = Literal["mlp", "convnet", "resnet", "textcnn", "dcgan"]
DataKind = Literal["digits", "mnist", "rt-polarity", "table"]

_TEXTS: frozenset[DataKind] = frozenset({"rt-polarity", "table"})
"""Data sets of texts; the others have images."""

_DEPTH_AND_WIDTH: dict[ModelKind, tuple[int, int]] = {
    "mlp": (1, 64),  # hidden layers, units of each
    "convnet": (3, 16),  # blocks, channels of the first
    "resnet": (8, 16),  # weighted layers, channels of the first stage
    "textcnn": (3, 64),  # widths of convolutions, channels of each
    "dcgan": (2, 16),  # doublings of the image, channels before the last
}


@dataclass(frozen=True)
class Config:
    """Everything besides the data that the trained weights depend on.

    Attributes:
        model, data: the network and the data set.
        epochs: how often the network sees every row.
        batch_size: rows of a step.
        learning_rate: of Adam, at the first step; it falls to zero along a half cosine.
        seed: of the initial weights and of every shuffle.
        depth, width: size of the network, as its own module defines them; 0 for its default.
        threads: of torch. The order of float additions, and so the last bits of the weights, depend on them.

    Raises:
        InvalidInput: a value is out of range; `field` names it.
    """

    model: ModelKind
    data: DataKind
    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 0.001
    seed: int = 0
    depth: int = 0
    width: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        _require(self.model in get_args(ModelKind), "model", f"one of {', '.join(get_args(ModelKind))}")
        _require(self.data in get_args(DataKind), "data", f"one of {', '.join(get_args(DataKind))}")
        wanted, other = ("texts", "images") if self.model == "textcnn" else ("images", "texts")
        kind = "texts" if self.data in _TEXTS else "images"
        _require(kind == wanted, "data", f"a data set of {wanted} for {self.model}; '{self.data}' has {other}")
        self._complete()
        _require(self.epochs >= 1, "epochs", "at least 1")
        _require(self.batch_size >= 2, "batch-size", "at least 2, since one row has no variance to normalise by")
        _require(0 < self.learning_rate <= 1, "learning-rate", "more than 0 and at most 1")
        _require(0 <= self.seed < 2**63, "seed", "from 0 to 2^63 - 1")
        _require(1 <= self.width <= 4096, "width", "from 1 to 4096")
        _require(self.threads >= 1, "threads", "at least 1")
        match self.model:
            case "mlp":
                _require(1 <= self.depth <= 100, "depth", "from 1 to 100 hidden layers")
            case "convnet":
                _require(1 <= self.depth <= 4, "depth", "from 1 to 4 blocks, since each halves the image")
            case "resnet":
                valid = self.depth in (18, 34) or (8 <= self.depth <= 1202 and (self.depth - 2) % 6 == 0)
                _require(
                    valid, "depth", "6n + 2 layers for a residual network (8, 14, 20, 32, 44, 56 ...), or 18 or 34"
                )
            case "textcnn":
                _require(1 <= self.depth <= 8, "depth", "from 1 to 8 convolutions, over 3 to 10 tokens")
            case "dcgan":
                _require(1 <= self.depth <= 2, "depth", "1 or 2, since each halves images of 28 x 28")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings from the text of `to_json`.

        Raises:
            InvalidInput: it is another text.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise InvalidInput("these are not the settings of a training run") from error

    def to_json(self) -> str:
        """The settings as one JSON object, sorted, so that equal settings are equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, str | int | float | bool | None]:
        """The settings as `models.manifest.TrainingRecord.config` holds them."""
        return dataclasses.asdict(self)

    def difference(self, other: "Config") -> str:
        """The settings in which another run differs, as text: ``epochs 5 -> 6, seed 0 -> 1``."""
        mine, theirs = self.to_dict(), other.to_dict()
        return ", ".join(f"{name} {mine[name]} -> {theirs[name]}" for name in mine if mine[name] != theirs[name])

    def _complete(self) -> None:
        # The record holds the default size itself, so that it stays right when the defaults change.
        depth, width = _DEPTH_AND_WIDTH[self.model]
        object.__setattr__(self, "depth", self.depth or depth)
        object.__setattr__(self, "width", self.width or width)


def _require(valid: bool, field: str, rule: str) -> None:
    if not valid:
        raise InvalidInput(f"must be {rule}", field)
