"""Kinds of values that settings of several groups have."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field


def require_path(value: object) -> object:
    """Returns the value.

    Raises:
        ValueError: it is an empty text, which would be the working directory: a variable of the shell that is not set.
    """
    if value == "":
        raise ValueError("expected a path; leave the setting out for its default")
    return value


def require_folder(value: Path | str) -> Path | str:
    """Returns the value.

    Raises:
        ValueError: it is the path of a file.
    """
    if isinstance(value, Path) and value.exists() and not value.is_dir():
        raise ValueError("expected a folder, and a file is there")
    return value


def require_http_url(value: str) -> str:
    """Returns the URL.

    Raises:
        ValueError: it is none of HTTP, or has no host.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected a URL with a host that begins with https:// or http://")
    return value


NamedPath = Annotated[Path, BeforeValidator(require_path)]

Folder = Annotated[NamedPath, AfterValidator(require_folder)]
"""A folder that exists, or does not yet."""

HttpUrl = Annotated[str, AfterValidator(require_http_url)]

Mebibytes = Annotated[int, Field(gt=0, le=2047)]
