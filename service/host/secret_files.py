"""Reads tokens, keys, passwords and webhook secrets from files, as Docker and Kubernetes mount them.

Every function raises OSError if the file cannot be read, and ValueError if its content is not valid.
"""

import os
import secrets
from pathlib import Path

from service.host.credentials import signing_key, validate_token

_TOKEN_BYTES = 32


def read_or_create_token(path: Path) -> str:
    """Returns the token in the file. A missing file is created with a random token, readable by its owner only."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read_token(path)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    return token


def read_keys(path: Path) -> list[str]:
    """Returns the keys in the file, one a line: at least one, since an empty list would leave predictions open."""
    keys = path.read_text("utf-8").split()
    if not keys:
        raise ValueError(f"{path} holds no key")
    for key in keys:
        validate_token(key)
    return keys


def read_signing_key(path: Path) -> bytes:
    """Returns the HMAC key of the webhook secret in the file."""
    return signing_key(path.read_text("utf-8").strip())


def read_password(path: Path) -> str:
    """Returns the password in the file, without the end of the line."""
    return path.read_text("utf-8").rstrip("\r\n")


def _read_token(path: Path) -> str:
    words = path.read_text("utf-8").split()
    if len(words) != 1:
        raise ValueError(f"{path} must hold one token, and nothing else")
    validate_token(words[0])
    return words[0]
