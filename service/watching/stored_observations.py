"""The observations of one version in a file, so that they survive a restart."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from models.accuracy.agreement import Agreement
from models.accuracy.labelled import Labelled
from models.drift.alarm_course import NO_ALARMS, AlarmState
from models.drift.baseline import Baseline
from models.durable_files import replace_file
from models.errors import InvalidInput
from models.moments import codec
from service.watching.windows import HORIZONS, Bucket, Window
from service.wire import arrays


class _Judgement(BaseModel, defer_build=True):
    """What else is known of a version, as the header has it."""

    alarms: AlarmState = NO_ALARMS
    baseline: Baseline | None = None


@dataclass(frozen=True)
class StoredObservations:
    """The observations of one version.

    Attributes:
        identity: digest of the manifest; another version with the same number has another one.
        windows: window, slot and bucket of each bucket of time.
        filling: rows of the window that is not full yet.
        judged: rows of the last full window.
        judged_at: when it was full, in seconds since 1970.
        alarms: as the last full window has left them.
        baseline: None where none was asked for.
    """

    identity: str
    windows: Sequence[tuple[Window, int, Bucket]]
    filling: Bucket | None
    judged: Bucket | None
    judged_at: float
    alarms: AlarmState = NO_ALARMS
    baseline: Baseline | None = None

    def to_bytes(self) -> bytes:
        """Returns what `from_bytes` reads: where each bucket belongs, the moments of all, and the classes of all."""
        entries: list[tuple[str, int, Bucket]] = list(self.windows)
        entries += [(place, 0, bucket) for place in ("filling", "judged") if (bucket := getattr(self, place))]
        buckets = [bucket for _, _, bucket in entries]
        layout, moments = codec.encode([bucket.layers for bucket in buckets])
        num_classes = max((len(bucket.classes) for bucket in buckets), default=0)
        header = {
            "identity": self.identity,
            "judged_at": self.judged_at,
            **_Judgement(alarms=self.alarms, baseline=self.baseline).model_dump(),
            "buckets": [[place, slot, bucket.since] for place, slot, bucket in entries],
            "moments": layout,
            "labelled": [astuple(bucket.labelled) for bucket in buckets],
            "agreed": [astuple(bucket.agreement) for bucket in buckets],
            "fit": [bucket.fit for bucket in buckets],
        }
        classes = np.zeros((len(buckets), num_classes), np.int64)
        for row, bucket in zip(classes, buckets, strict=True):
            row[: len(bucket.classes)] = bucket.classes
        return arrays.write(header, {"moments": moments, "classes": classes})

    @classmethod
    def from_bytes(cls, data: bytes) -> "StoredObservations":
        """Returns what `to_bytes` wrote.

        Raises:
            InvalidInput: the data are damaged.
        """
        try:
            header, found = arrays.read(BytesIO(data))
            moments = codec.decode(header["moments"], found["moments"])
            windows: list[tuple[Window, int, Bucket]] = []
            others: dict[str, Bucket] = {}
            stored = header["buckets"]
            agreements = header.get("agreed", [()] * len(stored))  # earlier releases wrote none, or other sums
            labelled = header.get("labelled", [()] * len(stored))
            fits = header.get("fit", [0.0] * len(stored))
            for (place, slot, since), layers, classes, agreement, labels, fit in zip(
                stored, moments, found["classes"], agreements, labelled, fits, strict=True
            ):
                bucket = Bucket(since, layers, classes, Agreement(*agreement), Labelled(*labels), float(fit))
                if place in HORIZONS:
                    windows.append((place, slot, bucket))
                else:
                    others[place] = bucket
            judgement = _Judgement.model_validate(header)
            return cls(
                header["identity"],
                windows,
                others.get("filling"),
                others.get("judged"),
                float(header["judged_at"]),
                judgement.alarms,
                judgement.baseline,
            )
        except (ValueError, TypeError, LookupError, EOFError) as error:
            raise InvalidInput("stored observations: damaged data") from error


def write(path: Path, stored: StoredObservations) -> None:
    """Replace the file with a new one, at once or not at all.

    Raises:
        OSError: it cannot be written.
    """
    replace_file(path, stored.to_bytes())


def read(path: Path) -> StoredObservations:
    """Returns the observations in a file.

    Raises:
        OSError: it cannot be read.
        InvalidInput: it is damaged.
    """
    return StoredObservations.from_bytes(path.read_bytes())
