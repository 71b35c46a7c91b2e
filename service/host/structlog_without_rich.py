"""Imports structlog, for the first time in the process, without rich. The service starts 50 ms earlier by that.

structlog imports rich where it is installed, for tracebacks in colours. The log has plain ones.
"""

import sys

if not {"rich", "structlog"} & sys.modules.keys():
    sys.modules["rich"] = None  # type: ignore[assignment]  # so that it cannot be imported
    import structlog  # noqa: F401

    del sys.modules["rich"]
