"""Serves bundles over HTTP."""

import sys

if not {"rich", "structlog"} & sys.modules.keys():
    # structlog imports rich where it is installed, for tracebacks in colours. Denge writes plain ones, and starts 50 ms
    # earlier without it.
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]
