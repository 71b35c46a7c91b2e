"""The `denge` command: `serve` is that of `python -m service`, `doctor` its own, the others those of training.

Exit codes: those of the service for `serve`, and those of training for the others. `doctor` ends with 1 if it has found
a problem, and with 2 if a setting is invalid.
"""

import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App
from pydantic.fields import FieldInfo

from denge.demo import demonstrate
from denge.doctor import report
from denge.traffic import send
from models.version import VERSION
from service.__main__ import USAGE_ERROR, serve_with
from service.host.flags import build_app
from service.settings import ConfigurationError, Settings
from training import __main__ as training
from training.exit_codes import run

app = App(
    name="denge",
    help="Train, serve, watch and re-calibrate batch-normalised networks.",
    version=VERSION,
    result_action="return_value",
)


def _serve(given: dict[str, Any]) -> int:
    if given.pop("json", False):
        given["json_addresses"] = True
    return serve_with(lambda: Settings.from_flags(given))


def _examine(given: dict[str, Any]) -> int:
    as_json = given.pop("json", False)
    try:
        return report(Settings.from_flags(given), as_json=as_json)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE_ERROR


def _with_json(about: str) -> dict[str, FieldInfo]:
    """The settings, and the flag that all commands have."""
    return {"json": FieldInfo(annotation=bool, default=False, description=about), **Settings.model_fields}


serve_flags = _with_json("Print the addresses as one line of JSON. The log, on the standard error, is JSON anyway.")
app.command(build_app("serve", Settings.__doc__ or "", serve_flags, _serve))
doctor_flags = _with_json("Print the findings as a JSON list.")
about = "Check this machine and the repository for a service with these settings, and say what to do. Changes nothing."
app.command(build_app("doctor", about, doctor_flags, _examine))
app.command(demonstrate, name="demo")
app.command(send, name="traffic")
for name in ("train", "export", "import", "recalibrate", "quantize", "inspect", "study"):
    app.command(training.app[name], name=name)
app.register_install_completion_command()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code."""
    return run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
