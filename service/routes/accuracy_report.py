"""Schemas of accuracy: estimated without labels, and known from those that were sent."""

from dataclasses import asdict
from typing import Self

from pydantic import BaseModel, Field

from models.drift.assessment import Assessment
from service.watching.windows import Bucket


class EstimatedAccuracy(BaseModel):
    """How accurate a version is on some rows, without labels."""

    value: float = Field(description="From 0 to 1.")
    low: float = Field(description="The accuracy is from here ...")
    high: float = Field(description="... to here nine times of ten, for shifts like those that it was learned on.")
    usual: float = Field(
        description="On undisturbed rows, measured on test rows. 1 where that is not known: then all of these are "
        "relative to it."
    )
    rows: int = Field(description="That were read for the estimate.")

    @classmethod
    def of(cls, found: Assessment) -> Self | None:
        """The response's form of a window's estimate; None where there is none."""
        return None if found.accuracy is None else cls(**asdict(found.accuracy))


class KnownAccuracy(BaseModel):
    """How accurate a version was on the rows whose true classes were sent."""

    value: float = Field(description="Share of these rows that were predicted to be of their class, from 0 to 1.")
    low: float = Field(description="The accuracy on all rows is from here ...")
    high: float = Field(
        description="... to here nine times of ten, if the rows with labels were drawn from all at random."
    )
    rows: int = Field(description="With labels, by the time of their prediction.")
    estimate_error: float | None = Field(
        description="The estimated accuracy less this one; null where none is estimated."
    )

    @classmethod
    def of(cls, bucket: Bucket, found: Assessment) -> Self | None:
        """The response's form of a window's labels; None where there are none."""
        if (true := bucket.labelled.accuracy) is None:
            return None
        error = None if found.accuracy is None else found.accuracy.value - true.value
        return cls(**asdict(true), estimate_error=error)
