"""Access of the routes: tokens, keys, pages of other origins, and that no route is left out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from models.repository.repository import Repository
from service.access import Guard
from service.app import create_app
from service.composition.framework import FRAMEWORK_PATHS
from service.http import access
from service.http.access import ADMIN, PREDICT, PUBLIC
from service.settings import Settings
from tests.service.conftest import fill

TOKEN = "an-admin-token-of-the-tests"
KEYS = ("the-first-of-the-api-keys", "the-second-of-the-api-keys")
TENSOR = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4}]}
LOAD = "/v2/repository/models/tiny/load"


def application(repository: Repository, **settings: Any) -> tuple[FastAPI, TestClient]:
    """The framework's application, and a client of all that is around it."""
    around = create_app(Settings(repository=repository.root, **settings))
    return around.framework.build(), TestClient(around, "http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, TestClient]]:
    repository = fill(tmp_path_factory.mktemp("guarded"))
    app, client = application(repository, admin_token=SecretStr(TOKEN), api_keys=SecretStr(", ".join(KEYS)))
    with client:
        yield app, client


@pytest.fixture(scope="module")
def client(guarded: tuple[FastAPI, TestClient]) -> TestClient:
    return guarded[1]


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with application(fill(tmp_path_factory.mktemp("unguarded")))[1] as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def requests(app: FastAPI, wanted: object) -> list[tuple[str, str]]:
    """Method and path of every route with this access."""
    values = {"model": "tiny", "version": "1", "layer": "norm", "label": "stable"}
    found = []
    for path, methods, declared in access.declared(app):
        if declared is getattr(wanted, "dependency", None) and path not in FRAMEWORK_PATHS:
            template = re.sub(r":\w+}", "}", path)
            found += [(method, template.format_map(Filled(values))) for method in sorted(methods)]
    return found


class Filled(dict[str, str]):
    """What a test does not know is 1."""

    def __missing__(self, key: str) -> str:
        return "1"


def test_every_route_declares_its_access(guarded: tuple[FastAPI, TestClient]) -> None:
    undeclared = {path for path, _, declared in access.declared(guarded[0]) if declared is None}

    assert undeclared <= set(FRAMEWORK_PATHS)
    assert sum(len(requests(guarded[0], kind)) for kind in (PUBLIC, PREDICT, ADMIN)) > 35


def test_what_is_public_changes_nothing(guarded: tuple[FastAPI, TestClient]) -> None:
    app, client = guarded
    changing = {(method, path) for method, path in requests(app, PUBLIC) if method not in {"GET", "HEAD"}}
    offered = {
        (method, path) for method, path in changing if client.request(method, path).status_code not in {403, 501}
    }

    assert offered == {("POST", "/v2/repository/index")}  # others are not implemented, or need the secret of replicas


def test_every_admin_route_needs_the_admin_token(guarded: tuple[FastAPI, TestClient]) -> None:
    app, client = guarded
    for method, path in requests(app, ADMIN):
        refused = client.request(method, path)
        assert refused.status_code == 401, (method, path)
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert set(refused.json()) == {"error"}
        assert client.request(method, path, headers=bearer(KEYS[0])).status_code == 403
        assert client.request(method, path, headers=bearer(TOKEN)).status_code not in {401, 403}
    assert ("POST", LOAD) in requests(app, ADMIN)
    assert client.post(LOAD, headers=bearer(TOKEN)).status_code == 200


def test_every_prediction_needs_a_key(guarded: tuple[FastAPI, TestClient]) -> None:
    app, client = guarded
    client.post(LOAD, headers=bearer(TOKEN))
    paths = {path for _, path in requests(app, PREDICT)}
    assert {"/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer", "/v1/models/tiny:predict"} < paths
    for path in paths:
        assert client.post(path).status_code == 401, path
        for token in (*KEYS, TOKEN):
            assert client.post(path, headers=bearer(token)).status_code in {200, 400}, path


def test_everything_else_needs_nothing(guarded: tuple[FastAPI, TestClient]) -> None:
    app, client = guarded
    client.post(LOAD, headers=bearer(TOKEN))
    refused = set()
    for method, path in requests(app, PUBLIC):
        with client.stream(method, path, follow_redirects=False) as response:  # one of them never ends
            if response.status_code in {401, 403}:
                refused.add(path)
    of_replicas = {"/v2/replicas/labels/tiny", "/v2/replicas/rows/1", "/v2/replicas/statistics"}
    assert refused == of_replicas, "replicas alone have the secret of these"


@pytest.mark.parametrize("path", ["/v2/models/tiny/infer", "/v2/models/tiny/versions/1/infer"])
def test_the_fast_path_asks_for_a_key_as_well(client: TestClient, path: str) -> None:
    refused = client.post(path, json=TENSOR, headers=bearer("x" * 20))

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert refused.headers["X-Request-ID"]
    assert client.post(path, json=TENSOR, headers=bearer(KEYS[1])).status_code == 200


@pytest.mark.parametrize(
    "value",
    ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", f"Bearer x {TOKEN}", "Ü"],
)
def test_what_is_not_the_token_is_refused(client: TestClient, value: str) -> None:
    assert client.post(LOAD, headers={"Authorization": value.encode("latin-1")}).status_code == 401


def test_the_scheme_is_read_in_any_case(client: TestClient) -> None:
    assert client.post(LOAD, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_the_docs_page_knows_both_tokens(client: TestClient) -> None:
    described = client.get("/openapi.json").json()

    assert set(described["components"]["securitySchemes"]) == {"api_key", "admin_token"}
    assert described["paths"]["/v2/repository/models/{model}/load"]["post"]["security"] == [{"admin_token": []}]
    assert described["paths"]["/v2/models/{model}/infer"]["post"]["security"] == [{"api_key": []}]
    assert "security" not in described["paths"]["/v2/models"]["get"]


class TestWithoutTokens:
    """On a loopback address, where the user is the operator; a page in the user's browser is not."""

    def test_predictions_and_changes_are_open(self, unguarded: TestClient) -> None:
        assert unguarded.post(LOAD).status_code == 200
        assert unguarded.post("/v2/models/tiny/infer", json=TENSOR).status_code == 200
        assert unguarded.post(LOAD, headers=bearer("whatever")).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://127.0.0.1:8000"},
            {"Host": "localhost:8000", "Origin": "http://localhost:8000"},
            {"Host": "[::1]:8000", "Origin": "http://[::1]:8000"},
            {"Host": "localhost"},
        ],
    )
    def test_pages_of_its_own_may_change_what_is_served(self, unguarded: TestClient, headers: dict[str, str]) -> None:
        assert unguarded.post(LOAD, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://example.com"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Origin": "http://127.0.0.1:3000"},
            {"Origin": "http://localhost:8000"},
            {"Host": "example.com", "Origin": "http://example.com"},
            {"Host": "localhost.example.com:8000"},
            {"Host": "127.0.0.1.example.com:8000"},
            {"Host": ""},
            {"Host": "["},
            {"X-Forwarded-For": "10.0.0.1"},
            {"Forwarded": "for=10.0.0.1"},
        ],
    )
    def test_other_pages_and_proxies_may_not(self, unguarded: TestClient, headers: dict[str, str]) -> None:
        refused = unguarded.post(LOAD, headers=headers)

        assert refused.status_code == 403
        assert "admin token" in refused.json()["error"]


@pytest.mark.parametrize("dependencies", [[], [PUBLIC, ADMIN]])
def test_a_route_that_does_not_declare_one_access_stops_the_start(dependencies: list[Any]) -> None:
    app = FastAPI(openapi_url=None)
    routes = APIRouter()

    @routes.post("/open", dependencies=dependencies)
    async def endpoint() -> None:
        """Nothing."""

    app.include_router(routes)

    with pytest.raises(TypeError, match="POST /open must declare its access"):
        access.install(app, Guard(), ())


def test_the_token_is_made_where_its_file_does_not_exist(repository: Repository, tmp_path: Path) -> None:
    file = tmp_path / "token"
    for _ in range(2):  # made at the first start, read at the second
        with application(repository, host="0.0.0.0", admin_token_file=file)[1] as client:
            assert client.post(LOAD).status_code == 401
            assert client.post(LOAD, headers=bearer(file.read_text().strip())).status_code == 200
    assert file.stat().st_mode & 0o777 == 0o600


def test_keys_are_read_from_a_file(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n".join(KEYS))
    with application(repository, api_keys_file=tmp_path / "keys")[1] as client:
        assert client.post("/v2/models/tiny/infer", json=TENSOR).status_code == 401
        assert client.post("/v2/models/tiny/infer", json=TENSOR, headers=bearer(KEYS[0])).status_code == 200
