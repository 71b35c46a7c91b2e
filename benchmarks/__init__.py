"""What Denge costs, as ratios to limits and peers. Not part of the tests."""

import os

# onnxruntime sends telemetry unless this is set before it is imported. Servers that a benchmark starts inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
