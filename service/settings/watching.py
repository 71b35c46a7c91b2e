"""Settings of how inputs are watched for drift."""

from pydantic import BaseModel, Field


class Watching(BaseModel, defer_build=True):
    """Observations of normalisation layers, and the windows that alarms are raised on."""

    watch_percent: float = Field(
        0.5,
        ge=0,
        le=100,
        description="Most processor time to spend on observing normalisation layers under load, in percent. "
        "0 observes nothing.",
    )
    estimate_accuracy: bool = Field(
        default=True,
        description="Estimate the accuracy on the observed rows without labels, for versions that classify and have "
        "held-out rows. Takes at most half of `watch_percent`, and the memory of one more graph for each version.",
    )
    drift_window_rows: int = Field(
        256, ge=16, le=1 << 20, description="Rows in each of the windows that drift alarms are raised on."
    )
    false_alarm_rate: float = Field(
        0.01, gt=0, lt=1, description="Share of drift windows that are significant although the input has not moved."
    )
    days_between_false_alarms: float | None = Field(
        None,
        gt=0,
        le=3650,
        description="Open an alarm on the evidence of several windows, such that in this many days there is at most "
        "one false alarm on average: 7 for one a week. Absent, each significant and large window opens one.",
    )
    label_rows: int = Field(
        20_000,
        ge=0,
        le=10_000_000,
        description="Rows whose predicted classes are remembered, of requests with an id of the client's own, so that "
        "their true classes can be sent later. About 300 bytes a request. 0 remembers none.",
    )
