"""Schemas of drift: how far a version's rows are from its held-out rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from models.capabilities import unavailable
from models.drift.assessment import LARGE_KL, Assessment, ChannelShift, ClassShift, LayerShift, Verdict
from models.manifest import Manifest
from service.catalog.served_version import ServedVersion
from service.host.clock import to_date
from service.routes.accuracy_report import EstimatedAccuracy, KnownAccuracy
from service.routes.baseline_report import BaselineReport
from service.watching.alarms.alarm_report import AlarmReport
from service.watching.version_monitor import VersionMonitor
from service.watching.windows import Bucket

ALARM = (
    "Whether an alarm of the version is open. It begins with a full window of rows whose shift is significant and "
    "large, or with the evidence of several if `days_between_false_alarms` is set, and ends after three that are not."
)
ALARM_SINCE = "When the open alarm has begun; null if none is open."


class ChannelDrift(BaseModel):
    """A channel in a window, in z units."""

    channel: int
    mean: float
    variance: float
    symmetric_kl: float

    @classmethod
    def of(cls, shift: ChannelShift) -> Self:
        """The response's form of a channel's shift."""
        return cls(channel=shift.channel, mean=shift.mean, variance=shift.variance, symmetric_kl=shift.symmetric_kl)


class LayerDrift(BaseModel):
    """Whether a layer's input has moved."""

    name: str
    statistic: float | None = Field(description="1 is what one undisturbed window in a hundred exceeds in this layer.")
    threshold: float | None = Field(description="Of the statistic, at the false-alarm rate.")
    significant: bool | None
    symmetric_kl: float = Field(description="Mean over channels, less what chance alone makes of it.")
    wasserstein: float = Field(
        description="In standard deviations, mean over channels, less what chance alone makes of it."
    )
    worst_channels: list[ChannelDrift]

    @classmethod
    def of(cls, name: str, shift: LayerShift) -> Self:
        """The response's form of a layer's shift."""
        return cls(
            name=name,
            statistic=shift.statistic,
            threshold=shift.threshold,
            significant=shift.significant,
            symmetric_kl=shift.symmetric_kl,
            wasserstein=shift.wasserstein,
            worst_channels=list(map(ChannelDrift.of, shift.worst_channels)),
        )


class ClassDrift(BaseModel):
    """Predicted classes in the window, beside those of the held-out rows."""

    labels: list[str]
    counts: list[int]
    shares: list[float]
    reference_shares: list[float] | None = Field(description="Shares among the held-out rows.")
    significant: bool | None = Field(description="Whether the shares differ significantly, at the false-alarm rate.")
    distance: float | None = Field(description="Share of rows that would need another class for the shares to agree.")
    explains_shift: bool | None = Field(
        description="Whether held-out rows of the same classes would make the layers see the same."
    )

    @classmethod
    def of(cls, manifest: Manifest, bucket: Bucket, shift: ClassShift | None) -> Self | None:
        """The classes of a window; None for a model that does not classify."""
        drift = manifest.drift
        reference: Sequence[int] | None = drift.classes.counts if drift and drift.classes else None
        counts = list(map(int, bucket.classes)) or [0] * len(reference or ())
        if not counts:
            return None
        return cls(
            labels=list(manifest.labels or map(str, range(len(counts)))),
            counts=counts,
            shares=_shares(counts),
            reference_shares=None if reference is None else _shares(reference),
            significant=shift.significant if shift else None,
            distance=shift.distance if shift else None,
            explains_shift=shift.explains_shift if shift else None,
        )


_ACCURACY = Field(description="Estimated accuracy on the rows; null where it is not known.")
_TRUE_ACCURACY = Field(None, description="Accuracy on the rows with labels; null where there are none.")


class DriftReport(BaseModel):
    """Whether the input has moved. The divergence is no estimate of accuracy."""

    model: str
    version: str
    window: str
    rows: int
    verdict: Verdict
    message: str
    alarm: bool = Field(description=ALARM)
    alarm_since: datetime | None = Field(description=ALARM_SINCE)
    last_alarm: AlarmReport | None = Field(
        description="The open alarm, or else the last one; null where there was none."
    )
    false_alarm_rate: float = Field(description="Of a window.")
    days_between_false_alarms: float | None = Field(
        description="Of which one has a false alarm on average; null where each significant and large window opens one."
    )
    window_rows: int = Field(description="Rows of the windows that alarms are raised on.")
    judged_at: datetime | None = Field(description="When the last of these windows was full; null before the first.")
    unjudged_rows: int = Field(description="Rows of the next one so far.")
    observed_share: float | None = Field(
        description="Of the batches predicted since the service started, on all replicas; null before the first."
    )
    windows_per_day: float = Field(description="How many of these windows a day has, at the traffic of the last hour.")
    false_alarms_per_day: float = Field(
        description="How many of them are significant although nothing has moved; with `days_between_false_alarms`, "
        "how many alarms there are."
    )
    statistic: float | None = Field(description="The largest of all layers.")
    threshold: float | None = Field(description="Of the largest statistic, at the false-alarm rate.")
    significant: bool | None
    symmetric_kl: float = Field(description="Mean over layers.")
    wasserstein: float = Field(description="Mean over layers, in standard deviations.")
    large_symmetric_kl: float = Field(
        description="A layer's divergence from which a significant shift raises an alarm."
    )
    estimated_accuracy: EstimatedAccuracy | None = _ACCURACY
    true_accuracy: KnownAccuracy | None = _TRUE_ACCURACY
    baseline: BaselineReport = Field(description="The spread of traffic that was declared good.")
    layers: list[LayerDrift]
    classes: ClassDrift | None = Field(description="Null for a model that does not classify.")

    @classmethod
    def of(
        cls, served: ServedVersion, monitor: VersionMonitor, bucket: Bucket, window: str, rate: float | None = None
    ) -> Self:
        """Assess rows of a version.

        Args:
            served: the version.
            monitor: of the version.
            bucket: the rows.
            window: its name.
            rate: of false alarms; that of the monitor if absent.

        Raises:
            InvalidInput: the rate is outside the measured range.
        """
        assessor, alarms = monitor.assessor, monitor.alarms
        found = assessor.assess(bucket, rate)
        false_alarm_rate = assessor.rate if rate is None else rate
        windows_per_day, days = monitor.windows_per_day, assessor.rule.days
        return cls(
            model=served.model,
            version=str(served.version),
            window=window,
            rows=found.rows,
            verdict=found.verdict,
            message=unavailable(served.manifest).get("watching", found.message),
            alarm=alarms.open is not None,
            alarm_since=_date(alarms.open.began if alarms.open else None),
            last_alarm=AlarmReport.of(alarms.courses[-1], served.manifest) if alarms.courses else None,
            false_alarm_rate=false_alarm_rate,
            days_between_false_alarms=days,
            window_rows=monitor.window_rows,
            judged_at=_date(None if monitor.judged is None else monitor.judged.at),
            unjudged_rows=monitor.unjudged_rows,
            observed_share=monitor.service_effort.observed_share,
            windows_per_day=windows_per_day,
            false_alarms_per_day=windows_per_day * false_alarm_rate if days is None else 1 / days,
            statistic=found.statistic,
            threshold=found.threshold,
            significant=found.significant,
            symmetric_kl=found.symmetric_kl,
            wasserstein=found.wasserstein,
            large_symmetric_kl=LARGE_KL,
            estimated_accuracy=EstimatedAccuracy.of(found),
            true_accuracy=KnownAccuracy.of(bucket, found),
            baseline=BaselineReport.of(monitor),
            layers=[LayerDrift.of(name, shift) for name, shift in found.layers.items()],
            classes=ClassDrift.of(served.manifest, bucket, found.classes),
        )


class DriftVerdict(BaseModel):
    """A drift report in short."""

    rows: int
    verdict: Verdict
    significant: bool | None = Field(description="Whether the rows differ significantly; null without thresholds.")
    alarm: bool = Field(description=ALARM)
    symmetric_kl: float = Field(description="Mean over layers.")
    estimated_accuracy: EstimatedAccuracy | None = _ACCURACY

    @classmethod
    def of(cls, found: Assessment, *, alarm: bool) -> Self:
        """The response's form of an assessment, in short.

        Args:
            found: of some rows.
            alarm: whether the version has an open alarm.
        """
        return cls(
            rows=found.rows,
            verdict=found.verdict,
            significant=found.significant,
            alarm=alarm,
            symmetric_kl=found.symmetric_kl,
            estimated_accuracy=EstimatedAccuracy.of(found),
        )


class VersionDrift(DriftVerdict):
    """The verdict on a loaded version."""

    model: str
    version: str
    is_default: bool = Field(description="Whether it answers the requests to the model that name no version.")


class DriftOverview(BaseModel):
    """The verdicts on all loaded versions of all models."""

    window: str
    versions: list[VersionDrift]


class DriftPoint(BaseModel):
    """Drift in a part of the window."""

    time: datetime = Field(description="End of the part.")
    rows: int
    symmetric_kl: float
    statistic: float | None
    threshold: float | None
    significant: bool | None
    verdict: Verdict
    estimated_accuracy: EstimatedAccuracy | None = _ACCURACY
    true_accuracy: KnownAccuracy | None = _TRUE_ACCURACY
    layers: dict[str, float] = Field(description="Symmetric KL divergence by layer.")

    @classmethod
    def of(cls, end: float, bucket: Bucket, found: Assessment) -> Self:
        """The drift of rows, in a part that ends at a time in seconds since 1970."""
        return cls(
            time=to_date(end),
            rows=found.rows,
            symmetric_kl=found.symmetric_kl,
            statistic=found.statistic,
            threshold=found.threshold,
            significant=found.significant,
            verdict=found.verdict,
            estimated_accuracy=EstimatedAccuracy.of(found),
            true_accuracy=KnownAccuracy.of(bucket, found),
            layers={name: shift.symmetric_kl for name, shift in found.layers.items()},
        )


class DriftHistory(BaseModel):
    """Drift over time, oldest first. Parts without rows are left out."""

    model: str
    version: str
    window: str
    points: list[DriftPoint]
    alarms: list[AlarmReport] = Field(description="That were open in the window, of the last 32, oldest first.")


def _date(seconds: float | None) -> datetime | None:
    return None if seconds is None else to_date(seconds)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]
