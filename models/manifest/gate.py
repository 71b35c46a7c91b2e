"""A check of a version before it is published."""

from typing import Any

from pydantic import Field, computed_field, model_validator

from models.manifest.record import Record


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
