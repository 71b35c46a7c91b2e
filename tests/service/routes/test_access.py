"""What a token permits, as clients ask for it."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings

ADMIN, KEY = "an-admin-token-of-tests", "an-api-key-of-the-tests"


@pytest.mark.parametrize(
    ("settings", "token", "permitted"),
    [
        ({}, None, (True, True)),
        ({"admin_token": ADMIN}, None, (True, False)),
        ({"admin_token": ADMIN, "api_keys": KEY}, None, (False, False)),
        ({"admin_token": ADMIN, "api_keys": KEY}, KEY, (True, False)),
        ({"admin_token": ADMIN, "api_keys": KEY}, ADMIN, (True, True)),
        ({"admin_token": ADMIN, "api_keys": KEY}, "a-token-of-someone-else", (False, False)),
    ],
)
def test_it_is_what_the_requests_themselves_may_do(
    tmp_path: Path, settings: dict[str, str], token: str | None, permitted: tuple[bool, bool]
) -> None:
    created = Settings.model_validate({"repository": tmp_path / "repository", **settings})
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with TestClient(create_app(created), "http://127.0.0.1:8000", headers=headers) as client:
        found = client.get("/v2/access").json()
        refused = {401, 403}
        predicted = client.post("/v2/models/none/infer", json={}).status_code not in refused
        changed = client.post("/v2/repository/models/none/load").status_code not in refused

    whose = {None: None, ADMIN: "admin", KEY: "api_key"}
    assert found["token"] == whose.get(token, "unknown")
    assert (found["may_predict"], found["may_change"]) == permitted == (predicted, changed)
