"""A setting that names a file with a secret."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from service.settings.errors import ConfigurationError

Content = TypeVar("Content")


def read_secret(setting: str, path: Path | None, read: Callable[[Path], Content]) -> Content | None:
    """Returns what the file holds; None where no file is named.

    Args:
        setting: name of the setting, for the message.
        path: of the file.
        read: reads such a file.

    Raises:
        ConfigurationError: the file cannot be used.
    """
    try:
        return None if path is None else read(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: {error}") from error
