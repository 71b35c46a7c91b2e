"""How much the graphs of a version differ from what they were made of."""

from pydantic import Field, model_validator

from models.manifest.record import Record


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
