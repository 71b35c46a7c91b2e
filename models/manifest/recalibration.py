"""How the statistics, or the reference, of a version were estimated from other rows than its parent's."""

from math import hypot

from pydantic import Field

from models.manifest.gate import Gate
from models.manifest.record import Record


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


class AccuracyGain(Record):
    """By how much one version is more accurate than another on the same rows: estimated without labels."""

    gain: float = Field(ge=-1, le=1)
    low: float = Field(ge=-1, le=1, description="lower end of the interval that it is in nine times of ten")
    high: float = Field(ge=-1, le=1)

    def less(self, other: "AccuracyGain") -> "AccuracyGain":
        """The difference to a gain that was estimated from other rows."""
        gain = self.gain - other.gain
        half = hypot(*((one.high - one.low) / 2 for one in (self, other)))
        return AccuracyGain(gain=max(min(gain, 1.0), -1.0), low=max(gain - half, -1.0), high=min(gain + half, 1.0))

    def __str__(self) -> str:
        """In points, with the interval."""
        return f"{100 * self.gain:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f})"


class RecalibrationRecord(Record):
    """How a version's statistics were estimated, and the gates that were checked before it was published."""

    rows: int = Field(gt=0, description="unlabelled rows that the statistics were estimated from")
    moved_of: int | None = Field(
        default=None,
        gt=0,
        description="number of rows of which these are the part that has moved; absent: the rows were not told apart",
    )
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
