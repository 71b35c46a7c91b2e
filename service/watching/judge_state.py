"""How far the rows of a version have been judged, and what was found, as values of the store that replicas share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from pydantic import ConfigDict, ValidationError

from models.drift.alarm_course import AlarmState
from models.drift.assessment import Assessment
from models.drift.baseline import Baseline
from models.errors import InvalidInput
from service.replicas.values import StoredModel, pack, unpack
from service.watching.alarms.alarm import Alarm
from service.watching.stored_observations import StoredObservations
from service.watching.windows import Bucket

SCHEMA = 1


class Finding(StoredModel):
    """What has been found of a version, as all replicas show it.

    Attributes:
        number: of alarms that have begun or ended.
        judged_at: when the last window was full, in seconds since 1970.
        assessment: of that window.
        alarm: the last one that has begun or ended; None before the first.
        alarms: of the version, after that window.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    number: int
    judged_at: float
    assessment: Assessment
    alarm: Alarm | None
    alarms: AlarmState


class SharedBaseline(StoredModel):
    """The baseline of a version, as all replicas use it."""

    baseline: Baseline


@dataclass(frozen=True)
class JudgeState:
    """How far the rows of a version have been judged.

    Attributes:
        consumed: last part of each replica's rows, and when, in seconds since 1970.
        filling: rows of the window that is not full yet.
        judged: the last full window; None before the first.
        finding: of that window.
        undelivered: numbers and alarms.
        baseline: of the version; None where none was asked for.
    """

    consumed: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    filling: Bucket | None = None
    judged: Bucket | None = None
    finding: Finding | None = None
    undelivered: tuple[tuple[int, Alarm], ...] = ()
    baseline: Baseline | None = None

    def to_value(self) -> bytes:
        """Returns the value that the store holds."""
        header = {
            "consumed": self.consumed,
            "finding": None if self.finding is None else self.finding.model_dump_json(),
            "undelivered": [(number, alarm.model_dump_json()) for number, alarm in self.undelivered],
        }
        rows = StoredObservations("", (), self.filling, self.judged, 0.0, baseline=self.baseline).to_bytes()
        return pack(SCHEMA, orjson.dumps(header) + b"\n" + rows)

    @classmethod
    def from_value(cls, value: bytes | None) -> "JudgeState | None":
        """Returns what `to_value` wrote; the first state for no value, None for a value of another release."""
        if value is None:
            return cls()
        if (payload := unpack(SCHEMA, value)) is None:
            return None
        line, _, rows = payload.partition(b"\n")
        try:
            header, stored = orjson.loads(line), StoredObservations.from_bytes(rows)
            return cls(
                {replica: (int(number), float(at)) for replica, (number, at) in header["consumed"].items()},
                stored.filling,
                stored.judged,
                None if header["finding"] is None else Finding.model_validate_json(header["finding"]),
                tuple((number, Alarm.model_validate_json(alarm)) for number, alarm in header["undelivered"]),
                stored.baseline,
            )
        except (InvalidInput, ValidationError, ValueError, LookupError):
            return None
