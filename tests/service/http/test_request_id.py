"""The id of a request."""

import pytest
from starlette.testclient import TestClient


def test_every_answer_has_a_request_id(client: TestClient) -> None:
    first, second = (client.get("/v2/health/live").headers["X-Request-ID"] for _ in range(2))

    assert first != second
    assert client.get("/nothing", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"


@pytest.mark.parametrize("identity", ["a b", "x" * 129, "{}", '"', "ü"])
def test_an_id_that_could_be_misread_is_replaced(client: TestClient, identity: str) -> None:
    answer = client.get("/v2/health/live", headers={"X-Request-ID": identity.encode()})

    assert answer.headers["X-Request-ID"] != identity
