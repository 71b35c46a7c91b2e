"""Which requests a guard lets pass, and how it identifies their clients."""

from hashlib import sha256

import pytest

from models.errors import Forbidden, Unauthenticated
from service.access import Guard

TOKEN = "an-admin-token-of-the-tests"
KEY = "an-api-key-of-the-tests"
ADDRESS = "10.0.0.7"


def bearer(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"example.com"), (b"authorization", f"Bearer {token}".encode())]


def test_a_client_is_its_api_key() -> None:
    assert Guard(TOKEN, [KEY]).authenticate(bearer(KEY), ADDRESS) == sha256(KEY.encode()).hexdigest()


@pytest.mark.parametrize("headers", [[], bearer(KEY), bearer(TOKEN)])
def test_without_api_keys_a_client_is_its_address(headers: list[tuple[bytes, bytes]]) -> None:
    assert Guard(TOKEN).authenticate(headers, ADDRESS) == ADDRESS


def test_the_admin_token_predicts_and_is_no_api_key() -> None:
    assert Guard(TOKEN, [KEY]).authenticate(bearer(TOKEN), ADDRESS) == ADDRESS


@pytest.mark.parametrize(("headers", "presented"), [([], False), (bearer("x" * 20), True)])
def test_a_prediction_without_a_valid_key_is_refused(headers: list[tuple[bytes, bytes]], presented: bool) -> None:
    with pytest.raises(Unauthenticated, match="API key") as refused:
        Guard(TOKEN, [KEY]).authenticate(headers, ADDRESS)

    assert refused.value.presented is presented


def test_an_api_key_changes_nothing() -> None:
    with pytest.raises(Forbidden, match="admin token"):
        Guard(TOKEN, [KEY]).require_admin(bearer(KEY))


def test_a_client_of_what_is_open_is_known_by_its_key_or_its_address() -> None:
    guard = Guard("the-token-of-the-operator", ["the-key-of-a-client"])

    def of(token: str) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", f"Bearer {token}".encode())] if token else []

    assert guard.identify(of("the-key-of-a-client"), "10.0.0.1") == guard.authenticate(of("the-key-of-a-client"), "")
    for token in ("", "wrong", "the-token-of-the-operator"):
        assert guard.identify(of(token), "10.0.0.1") == "10.0.0.1"
        assert guard.is_operator(of(token)) == (token == "the-token-of-the-operator")
    assert not Guard().is_operator(of("any"))
