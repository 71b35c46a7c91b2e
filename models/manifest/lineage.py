"""Where a version came from."""

from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from models.manifest.quantization import QuantizationRecord
from models.manifest.recalibration import RecalibrationRecord, ReferenceRecord
from models.manifest.record import ModelName, Record


class Parent(Record):
    """The version that this one was made from."""

    model: ModelName
    version: int = Field(gt=0)


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
    def _made_from_a_parent(self) -> "Lineage":
        for origin, record, version, what in (
            ("quantized", self.quantization, "a quantised version", "its quantisation"),
            ("referenced", self.reference, "a version with another reference", "it"),
            ("recalibrated", self.recalibration, "a re-calibrated version", "its re-calibration"),
        ):
            if (self.origin == origin) != (record is not None):
                raise ValueError(f"{version} needs a record of {what}, and no other version has one")
            if record is not None and self.parent is None:
                raise ValueError(f"{version} needs a parent")
        return self
