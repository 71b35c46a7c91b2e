"""Pages of other origins: refused by default, allowed by name."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.app import create_app
from service.settings import Settings
from tests.service.routes.test_infer import request

ORIGIN, OTHER = "https://app.example", "https://other.example"
PATH = "/v2/models/tiny/infer"


@pytest.fixture
def allowing(repository: Repository) -> Iterator[TestClient]:
    settings = Settings(repository=repository.root, cors_origins=f"http://localhost:3000, {ORIGIN}")
    with TestClient(create_app(settings), "http://127.0.0.1:8000") as client:
        yield client


def preflight(client: TestClient, origin: str, method: str = "POST") -> dict[str, str]:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    wanted = {"Access-Control-Request-Headers": "authorization, content-type, inference-header-content-length"}
    return dict(client.options(PATH, headers=headers | wanted).headers)


def test_no_origin_is_allowed_by_default(client: TestClient) -> None:
    assert not any(name.startswith("access-control") for name in preflight(client, ORIGIN))
    answer = client.post(PATH, json=request(), headers={"Origin": ORIGIN})
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (200, False)


def test_the_origins_of_the_settings_are_allowed_without_credentials(allowing: TestClient) -> None:
    answer = allowing.post(PATH, json=request(), headers={"Origin": ORIGIN})

    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    asked = preflight(allowing, ORIGIN)
    assert asked["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in asked


@pytest.mark.parametrize("origin", [OTHER, "https://app.example.evil", "http://app.example", "null"])
def test_all_others_are_not(allowing: TestClient, origin: str) -> None:
    answer = allowing.get("/v2/models/tiny", headers={"Origin": origin})

    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in preflight(allowing, origin)


def test_a_page_that_is_allowed_still_needs_the_token_for_changes(allowing: TestClient) -> None:
    answer = allowing.post("/v2/repository/models/tiny/load", headers={"Origin": ORIGIN})

    assert answer.status_code == 403
