"""For every test."""

import os

import structlog
from hypothesis import HealthCheck, settings

# onnxruntime sends telemetry unless this is set before it is imported, as tests do themselves.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Keras reads this when it is imported, wherever that happens first.
os.environ["KERAS_BACKEND"] = "torch"

# A property holds or not; how long an example takes on a busy machine says nothing.
# Examples are the same in every run, so that more of them find what they find once: `make test-all` has more.
settings.register_profile(
    "denge",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    max_examples=max(30, int(os.environ.get("FUZZ_EXAMPLES", "1"))),
)
settings.load_profile("denge")

# Without a configuration of its own, structlog draws tracebacks with every local variable, which takes seconds.
structlog.configure(
    processors=[structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
)

# Tests make their own bundles: to try each of them in a process of its own first would only take time.
os.environ["DENGE_LOAD_SECONDS"] = "0"
