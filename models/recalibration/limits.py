"""What a re-calibration accepts. Light: the serving process imports it without onnx."""

DEFAULT_PRIOR = 8.0
"""Rows that the parent's statistics count for. More make label-skewed rows less harmful, and mend a real shift less."""

MIN_ROWS_TO_ESTIMATE = 2
"""One row has a mean, and no variance over rows."""

MAX_ROWS_TO_ESTIMATE = 4096
"""All rows are in memory at once, with about ten times the largest activation (`models.graph.adapt`). The estimate
hardly gains from more than a few hundred."""
