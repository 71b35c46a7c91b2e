"""Tokens and keys that are kept in files, as Docker and Kubernetes hand secrets to a service."""

import os
import secrets
from pathlib import Path

_TOKEN_BYTES = 32


def read_or_make_token(path: Path) -> str:
    """The token that a file holds. Where there is no file, a random one is made, which only its owner may read.

    Raises:
        OSError: it can be neither read nor made.
        ValueError: it does not hold one word of text.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        words = read_words(path)
        if len(words) != 1:
            raise ValueError(f"{path} must hold one token, and nothing else") from None
        return words[0]
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    return token


def read_words(path: Path) -> list[str]:
    """The words of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text.
    """
    return path.read_text("utf-8").split()
