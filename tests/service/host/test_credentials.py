"""Tokens, keys and secrets that could be guessed are refused."""

import base64

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from service.host.credentials import MIN_LENGTH, Keys, Token, WebhookSecret, signing_key, split_keys, validate_token

GOOD = "0123456789abcdef"


def in_base64(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@pytest.mark.parametrize("token", ["", GOOD[1:], "a token with spaces in it", "ein-Schlüssel-mit-Umlaut", GOOD + "\n"])
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=f"at least {MIN_LENGTH} printable ASCII characters and no spaces"):
        validate_token(token)


def test_a_token_of_the_least_length_is_accepted() -> None:
    validate_token(GOOD)


def test_keys_are_separated_by_commas() -> None:
    assert split_keys(SecretStr(f"{GOOD}, {GOOD[::-1]} ")) == [GOOD, GOOD[::-1]]


@pytest.mark.parametrize("secret", [GOOD, in_base64(GOOD.encode())])
def test_a_webhook_secret_is_text_or_base64(secret: str) -> None:
    assert signing_key(secret) == GOOD.encode()


@pytest.mark.parametrize("secret", ["short", in_base64(b"short"), "whsec_%%%", "whsec_"])
def test_a_webhook_secret_that_is_short_or_damaged_is_refused(secret: str) -> None:
    with pytest.raises(ValueError):
        signing_key(secret)


class Model(BaseModel):
    token: Token | None = None
    keys: Keys | None = None
    secret: WebhookSecret | None = None


@pytest.mark.parametrize(
    "given", [{"token": "guess"}, {"keys": f"{GOOD},guess"}, {"secret": "guess"}], ids=lambda given: next(iter(given))
)
def test_the_types_of_settings_require_the_same_and_do_not_repeat_the_value(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="at least 16") as raised:
        Model(**given)
    assert raised.value.errors()[0]["loc"] == tuple(given)
    assert "guess" not in raised.value.errors()[0]["msg"]
    Model(**dict.fromkeys(given, GOOD))
