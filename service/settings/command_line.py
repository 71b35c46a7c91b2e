"""Settings from the command line."""

import sys
from collections.abc import Sequence

from models.validation import describe_unexpected
from service.host.plain_flags import read_plain_flags
from service.settings.errors import ConfigurationError
from service.settings.settings import Settings


def load(arguments: Sequence[str] | None = None) -> Settings:
    """Load the settings from flags, environment and file. With `--help` among the flags, print it and exit.

    Args:
        arguments: the command line without the name of the program; None reads no flags.

    Raises:
        ConfigurationError: a value is invalid, or a name is not a setting.
    """
    if arguments is None:
        return Settings.from_flags({})
    if (plain := read_plain_flags(arguments, Settings.model_fields)) is not None:
        return Settings.from_flags(plain)
    # Slow to import.
    from cyclopts import CycloptsError, UnusedCliTokensError  # noqa: PLC0415

    from service.host.flags import build_app  # noqa: PLC0415

    app = build_app("python -m service", Settings.__doc__ or "", Settings.model_fields, Settings.from_flags)
    try:
        loaded: Settings | None = app(arguments, exit_on_error=False, print_error=False)
    except UnusedCliTokensError as error:
        raise ConfigurationError(describe_unexpected(error.unused_tokens or [])) from error
    except CycloptsError as error:
        raise ConfigurationError(str(error)) from error
    if loaded is None:  # the help has been printed
        sys.exit()
    return loaded
