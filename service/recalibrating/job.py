"""One job that makes a version from rows, as clients see it and as its record stores it, without the rows."""

import secrets
from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field

from models.errors import NotFound
from models.manifest import AccuracyEstimate, AccuracyGain, Gate
from models.rows import count_rows
from service.host.process_exit import describe_exit
from service.wire.recalibration import JobKind, RecalibrationRequest

JobState = Literal[
    "collecting",
    "waiting",
    "estimating",
    "folding",
    "checking",
    "publishing",
    "published",
    "refused",
    "cancelled",
    "failed",
    "lost",
]
FINISHED: frozenset[JobState] = frozenset({"published", "refused", "cancelled", "failed", "lost"})


class Job(BaseModel, defer_build=True):
    """A job that makes a new version, and its progress."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: JobKind = Field(
        "recalibration",
        description="`recalibration`: new statistics for the batch-normalisation layers. `reference`: what the next "
        "rows are compared with. `quantization`: the version in 8 bits.",
    )
    model: str
    version: int = Field(
        description="The version to start from. Where that was re-calibrated itself, a re-calibration starts from the "
        "version that was trained, and the new one must not be worse than the one that has answered."
    )
    state: JobState
    reason: str | None = Field(None, description="Why the job ended without a new version.")
    rows: int = Field(description="Rows sent, or collected so far.")
    target_rows: int = Field(description="Rows that are to be estimated from.")
    seen: int = Field(0, description="Rows of the traffic that the collected rows were drawn from.")
    target_seen: int = Field(0, description="Rows to draw them from, at least; 0 where the rows were sent.")
    labelled: bool = Field(False, description="Whether classes were sent with the rows.")
    prior: float | None = Field(
        description="Rows that the parent's statistics count for; null where each layer estimates them, and for a "
        "reference."
    )
    force: bool = Field(description="Publish although a gate does not pass.")
    tolerance: float | None = Field(None, description="Points of accuracy that a quantisation may lose.")
    data_free: bool = Field(False, description="Whether the ranges of a quantisation come from no rows.")
    only_moved: bool = Field(
        False, description="Whether the new version is estimated from the rows that have moved alone."
    )
    answered_by: int | None = Field(
        None, description="The version that has answered the rows; null where it is the version to start from."
    )
    gates: tuple[Gate, ...] = Field((), description="Figures and bounds. Empty until they are known.")
    accuracy_before: AccuracyEstimate | None = Field(
        None,
        description="Estimated accuracy of the new version's parent on the rows, with an interval; null where it is "
        "not known.",
    )
    accuracy_after: AccuracyEstimate | None = Field(
        None, description="Estimated accuracy of the new version on the rows."
    )
    require_gain: bool = Field(False, description="Whether the estimated accuracy must be better.")
    accuracy_served: AccuracyEstimate | None = Field(
        None,
        description="Estimated accuracy of the version that has answered the rows; null where that is the parent, or "
        "it is not known.",
    )
    accuracy_gain: AccuracyGain | None = Field(
        None,
        description="Estimated gain of the new version over the one that has answered the rows, by the rows that the "
        "two predict to be of different classes; null where it is not known.",
    )
    rows_to_label: tuple[int, ...] = Field(
        (),
        description="Rows of the request, by index, for which the new version predicts another class than the one that "
        "has answered: their labels tell which is better. Without those that have labels, in random order, at most 32.",
    )
    published: int | None = Field(None, description="The new version.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def new(cls, model: str, version: int, request: RecalibrationRequest) -> Self:
        """Returns a job that begins.

        Args:
            model, version: to start from.
            request: the rows, or how many to collect.
        """
        rows = 0 if request.rows is None else count_rows(request.rows)
        now = datetime.now(UTC)
        return cls(
            id=secrets.token_hex(8),
            kind=request.parameters.kind,
            model=model,
            version=version,
            state="collecting" if request.rows is None else "waiting",
            rows=rows,
            target_rows=request.collect or rows,
            target_seen=(request.collect or 0) * request.parameters.spread,
            labelled=request.labels is not None,
            prior=request.prior,
            force=request.parameters.force,
            answered_by=request.answered_by,
            require_gain=request.require_gain,
            **request.parameters.model_dump(include={"tolerance", "data_free", "only_moved"}),
            created_at=now,
            updated_at=now,
        )

    @computed_field(description="whether the state is final")  # type: ignore[prop-decorator]
    @property
    def is_finished(self) -> bool:
        """Whether the state is final."""
        return self.state in FINISHED

    @property
    def collected_version(self) -> int:
        """The version whose rows are collected."""
        return self.version if self.answered_by is None else self.answered_by

    @property
    def is_collected(self) -> bool:
        """Whether the rows are collected from the traffic, not sent."""
        return self.target_seen > 0


_NOUNS: dict[JobKind, str] = {
    "recalibration": "re-calibration",
    "reference": "job of a reference",
    "quantization": "quantisation",
}


class JobNotFound(NotFound):
    """The model has no job with this id."""

    def __init__(self, model: str, kind: JobKind, job: str) -> None:
        super().__init__(f"model '{model}' has no {_NOUNS[kind]} '{job}'")


class JobStopped(Exception):
    """A job ends without a new version.

    Attributes:
        state: the final state.
    """

    def __init__(self, state: JobState, reason: str) -> None:
        super().__init__(reason)
        self.state = state


def died(state: JobState, code: int) -> JobStopped:
    """Returns why a job has failed whose process has ended too early.

    Args:
        state: of the job.
        code: exit code of the process; a signal's number, negated.
    """
    hint = "; see the repository for whether a version was published" if state == "publishing" else ""
    return JobStopped("failed", f"its process ended {describe_exit(code)} while it was {state}{hint}")
