"""Runs graphs in onnxruntime, for training and service alike. The only room that imports it."""

import os

# onnxruntime >= 1.29 sends telemetry on Linux unless this is set before it is imported, as every module here does.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
