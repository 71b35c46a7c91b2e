"""How a version came to compute in 8 bits, and how fast it is."""

from typing import Literal

from pydantic import Field

from models.manifest.gate import Gate
from models.manifest.record import Record


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
