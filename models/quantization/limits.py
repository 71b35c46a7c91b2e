"""What a quantisation accepts. Light: the serving process imports it without onnx."""

from typing import Literal

RangesFrom = Literal["rows", "batch_norm"]
"""What the ranges of activations are found from."""

TOLERANCE = 0.5
"""Points of accuracy that may be lost: of 200 rows that the parent is sure of, one."""

MIN_ROWS = 16
"""So that the ranges are not those of one or two rows."""

MAX_ROWS = 4096
"""More hardly change the figures."""
