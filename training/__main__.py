"""Train, import, re-calibrate and inspect models: ``python -m training <command>``.

Exit codes: 0 for success, 2 for wrong arguments or input (nothing was started), 1 for any other failure.

Commands import what they need when they run, so that `--help` is fast and most of them work without torch.
"""

import sys
from collections.abc import Sequence

from cyclopts import App

from training.commands.importing import import_
from training.commands.inspection import inspect
from training.commands.quantization import quantize
from training.commands.recalibration import recalibrate
from training.commands.training import export, train
from training.exit_codes import run
from training.studies.command import study

app = App(name="python -m training", help=__doc__.partition("\n\n")[0], version_flags=[], result_action="return_value")
for command in (train, export, recalibrate, inspect, quantize, study):
    app.command(command)
app.command(import_, name="import")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code."""
    return run(app, arguments)


if __name__ == "__main__":
    sys.exit(main())
