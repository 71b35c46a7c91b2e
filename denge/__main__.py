"""The `denge` command: `serve` is that of `python -m service`, the others are those of `python -m training`.

Exit codes: those of the service for `serve`, and those of training for the others.
"""

import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App

from models.version import VERSION
from service.__main__ import serve_with
from service.host.flags import build_app
from service.settings import Settings
from training import __main__ as training

app = App(
    name="denge",
    help="Train, serve, watch and re-calibrate batch-normalised networks.",
    version=VERSION,
    result_action="return_value",
)


def _serve(given: dict[str, Any]) -> int:
    return serve_with(lambda: Settings.from_flags(given))


app.command(build_app("serve", Settings.__doc__ or "", Settings.model_fields, _serve))
for name in ("train", "export", "import", "recalibrate", "inspect"):
    app.command(training.app[name], name=name)
app.register_install_completion_command()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code."""
    return training.run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
