"""What a re-calibration accepts. Light: the serving process imports it without onnx."""

from models.drift.calibration import MAX_HELD_OUT_ROWS, MIN_HELD_OUT_ROWS

MIN_ROWS_TO_ESTIMATE = 2
"""One row has a mean, and no variance over rows."""

MIN_ROWS_TO_PUBLISH = 64
"""Fewer do not pass the gate `rows`."""

SET_ASIDE = 5
"""One row in so many checks a reference that the others give."""

MIN_REFERENCE_ROWS = MIN_HELD_OUT_ROWS * SET_ASIDE // (SET_ASIDE - 1)
"""So that enough are left to estimate thresholds from."""

MAX_REFERENCE_ROWS = MAX_HELD_OUT_ROWS
"""As many as thresholds are estimated from."""

MAX_ROWS_TO_ESTIMATE = 4096
"""All rows are in memory at once, with about ten times the largest activation (`models.graph.adapt`). The estimate
hardly gains from more than a few hundred."""
