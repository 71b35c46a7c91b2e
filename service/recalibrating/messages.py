"""What the service and the process of a job send each other.

The service writes one order to the standard input of the process. The process writes progress to its standard output,
one message a line, until it exits.
"""

from typing import IO, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from models.datatypes import Array
from models.manifest import AccuracyEstimate, AccuracyGain, Gate
from service.recalibrating.job import Job, JobState
from service.wire import arrays
from service.wire.recalibration import JobKind

_LABELS = "labels"


class Order(BaseModel, defer_build=True):
    """Which version to make, and how.

    Attributes:
        kind: what the rows are for.
        repository: path of the folder of bundles, or URL of the bucket.
        model, version: to start from; a re-calibration of one that was re-calibrated starts from the version
            that was trained.
        prior: rows that the parent's statistics count for; None where each layer estimates them, and for a reference.
        force: publish although a gate does not pass.
        tolerance: points of accuracy that a quantisation may lose.
        data_free: whether the ranges of a quantisation come from no rows.
        only_moved: whether a re-calibration is estimated from the rows that have moved alone.
        answered_by: another version, which has answered the rows; its accuracy on them is estimated.
        require_gain: publish only if the estimated accuracy is better than that of the version that has answered.
        is_in_order: whether the rows are in the order in which they came.
    """

    model_config = ConfigDict(frozen=True)

    kind: JobKind = "recalibration"
    repository: str
    model: str
    version: int
    prior: float | None
    force: bool
    tolerance: float | None = None
    data_free: bool = False
    only_moved: bool = False
    answered_by: int | None = None
    require_gain: bool = False
    is_in_order: bool = False

    @classmethod
    def of(cls, job: Job, repository: str) -> Self:
        """The order of a job."""
        asked = job.model_dump(include=set(cls.model_fields) - {"repository", "is_in_order"})
        return cls(repository=repository, is_in_order=job.is_collected, **asked)


class OrderWithRows(NamedTuple):
    """An order and its rows.

    Attributes:
        order: what to do.
        rows: for every input of the model, shape (n, ...); none where the held-out rows of the version are to be used.
        labels: a class for each row, -1 where it is not known, shape (n,).
    """

    order: Order
    rows: dict[str, Array]
    labels: Array | None

    def to_bytes(self) -> bytes:
        """Encode for the process."""
        labels = {} if self.labels is None else {_LABELS: self.labels}
        header = {"order": self.order.model_dump(), "labelled": self.labels is not None}
        return arrays.write(header, {**self.rows, **labels})

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """Decode, and read not a byte more."""
        header, found = arrays.read(file)
        labels = found.pop(_LABELS) if header["labelled"] else None
        return cls(Order.model_validate(header["order"]), found, labels)


class Progress(BaseModel, defer_build=True):
    """What has changed about the job. Fields that are not set have not changed."""

    model_config = ConfigDict(frozen=True)

    state: JobState | None = None
    reason: str | None = None
    gates: tuple[Gate, ...] = ()
    accuracy_before: AccuracyEstimate | None = None
    accuracy_after: AccuracyEstimate | None = None
    accuracy_served: AccuracyEstimate | None = None
    accuracy_gain: AccuracyGain | None = None
    rows_to_label: tuple[int, ...] = ()
    published: int | None = None

    def to_line(self) -> bytes:
        """Encode for the service."""
        return self.model_dump_json(exclude_unset=True).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Decode what `to_line` has encoded.

        Raises:
            ValidationError: it is something else.
        """
        return cls.model_validate_json(line)

    def changes(self) -> dict[str, Any]:
        """The fields that are set, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}
