"""Where a repository is: a folder, or a URL of object storage."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from models.errors import InvalidInput

SCHEMES = ("s3", "gs", "az")
"""Amazon's S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_EXPECTED = "expected a folder, or a URL such as s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"


def parse_location(text: str | Path) -> Path | str:
    """Returns a path as a path, and a URL as text, without a slash at its end.

    Args:
        text: a path or a URL. Credentials do not belong in it: they come from the environment.

    Raises:
        InvalidInput: it is empty, a URL of another kind, or one with more than a bucket and a prefix.
    """
    if not text:
        raise InvalidInput(_EXPECTED, "repository")
    if isinstance(text, Path) or not _SCHEME.match(text):
        return Path(text)
    url = urlsplit(text)
    if url.scheme not in SCHEMES or not url.netloc:
        raise InvalidInput(_EXPECTED, "repository")
    if "@" in url.netloc or ":" in url.netloc or url.query or url.fragment:
        raise InvalidInput(
            f"{_EXPECTED}, and nothing else: credentials and the endpoint come from the environment", "repository"
        )
    segments = [segment for segment in url.path.split("/") if segment]
    if {".", ".."} & {*segments}:
        raise InvalidInput("the prefix must not contain '.' or '..'", "repository")
    return "/".join([f"{url.scheme}://{url.netloc}", *segments])
