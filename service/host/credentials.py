"""What a token, an API key and a webhook secret must look like, and the setting types that require it."""

import base64
from typing import Annotated

from pydantic import AfterValidator, SecretStr

MIN_LENGTH = 16
"""Characters of a token or key, and bytes of a webhook secret: too long to guess, since a leaked hash of one is a plain
SHA-256."""

_BASE64_PREFIX = "whsec_"


def validate_token(token: str) -> None:
    """Raises ValueError unless the text can be sent as a bearer token and is too long to guess."""
    if len(token) < MIN_LENGTH or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"a token or key has at least {MIN_LENGTH} printable ASCII characters and no spaces")


def split_keys(keys: SecretStr) -> list[str]:
    """Returns the keys of a comma-separated list."""
    return [key.strip() for key in keys.get_secret_value().split(",")]


def signing_key(secret: str) -> bytes:
    """Returns the HMAC key of a webhook secret.

    Args:
        secret: plain text, or `whsec_` and base64, as Standard Webhooks writes it.

    Raises:
        ValueError: the secret is too short, or its base64 is invalid.
    """
    is_base64 = secret.startswith(_BASE64_PREFIX)
    key = base64.b64decode(secret.removeprefix(_BASE64_PREFIX), validate=True) if is_base64 else secret.encode()
    if len(key) < MIN_LENGTH:
        raise ValueError(f"a secret has at least {MIN_LENGTH} bytes")
    return key


def _token(value: SecretStr) -> SecretStr:
    validate_token(value.get_secret_value())
    return value


def _keys(value: SecretStr) -> SecretStr:
    for key in split_keys(value):
        validate_token(key)
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    signing_key(value.get_secret_value())
    return value


Token = Annotated[SecretStr, AfterValidator(_token)]
Keys = Annotated[SecretStr, AfterValidator(_keys)]
"""Separated by commas."""
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
