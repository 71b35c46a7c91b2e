"""Runs a command, and makes an exit code of how it ends."""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnusedCliTokensError

from models.errors import DengeError, InvalidInput
from models.validation import describe_unexpected


def run(commands: App, arguments: Sequence[str] | None) -> int:
    """Run one of these commands, and return the exit code: its own if it returns one."""
    try:
        return commands(arguments, exit_on_error=False, print_error=False) or 0
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed: run scripts/install, or pip install torch 'denge[training]'", 1)
    except UnusedCliTokensError as error:
        return _fail(describe_unexpected(error.unused_tokens or []), 2)
    except (CycloptsError, InvalidInput) as error:
        return _fail(error, 2)
    except (DengeError, OSError) as error:
        return _fail(error, 1)


def _fail(error: Exception | str, code: int) -> int:
    sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
    return code
