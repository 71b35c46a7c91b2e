"""What a re-calibration accepts. Light: the serving process imports it without onnx."""

DEFAULT_PRIOR = 8.0
"""Rows that the parent's statistics count for. More make label-skewed rows less harmful, and mend a real shift less."""

MIN_ROWS_TO_ESTIMATE = 2
"""One row has a mean, and no variance over rows."""

MIN_REFERENCE_ROWS = 80
"""Thresholds need 64 rows, and a fifth is set aside to check them."""

MAX_REFERENCE_ROWS = 5000
"""As many as thresholds are estimated from."""

MAX_ROWS_TO_ESTIMATE = 4096
"""All rows are in memory at once, with about ten times the largest activation (`models.graph.adapt`). The estimate
hardly gains from more than a few hundred."""
