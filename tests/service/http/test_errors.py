"""Errors of requests that no endpoint sees."""

import gzip
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI, Query
from pydantic import BaseModel, ConfigDict
from starlette.testclient import TestClient

from service.http import errors
from service.http.typed_bodies import MAX_BYTES, TypedBodyRoute


class Choice(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid")

    version: int


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.router.redirect_slashes = False  # as the service
    errors.install(app)
    routes = APIRouter(route_class=TypedBodyRoute)

    @app.get("/choices/{name}")
    async def read(name: str, window: Annotated[int, Query(le=9)] = 1) -> str:
        return name * window

    @routes.delete("/choices/{name}")
    async def delete(name: str) -> str:
        return name

    @routes.put("/choices/{name}")
    async def write(name: str, choice: Annotated[Choice, Body()]) -> str:
        return name * choice.version

    @app.post("/models/{name}:predict")
    async def predict(name: str) -> str:
        return name

    app.include_router(routes)
    return TestClient(app)


def test_a_wrong_method_names_those_of_all_routes_with_the_path(client: TestClient) -> None:
    response = client.post("/choices/a")

    assert response.status_code == 405
    assert response.headers["Allow"] == "DELETE, GET, HEAD, PUT"
    assert response.json() == {"error": "method: got POST, this path allows DELETE, GET, HEAD, PUT"}


def test_an_unknown_path_is_named(client: TestClient) -> None:
    response = client.get("/choice")

    assert response.status_code == 404
    assert response.json() == {"error": "path: no such path '/choice'; /docs lists all paths"}


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/choices/a/", "did you mean '/choices/a'?"),
        ("/models/a/predict", "did you mean '/models/a:predict'?"),
        ("/choices/a/b", "/docs lists all paths"),  # not '/choices/a:b', which only reads
        ("/choices/", "/docs lists all paths"),
    ],
)
def test_a_path_with_a_wrong_slash_is_told_the_right_one(client: TestClient, path: str, advice: str) -> None:
    response = client.post(path)

    assert response.status_code == 404
    assert response.json()["error"] == f"path: no such path '{path}'; {advice}"


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ("?window=x", None, "query.window: got 'x', expected a valid integer"),
        ("?window=10", None, "query.window: got '10', expected less than or equal to 9"),
        ("", {}, "body.version: missing"),
        ("", [], "body: got [], expected an object"),
        ("", {"version": 1, "verison": 2}, "body.verison: unknown field, did you mean 'version'?"),
        ("", {"version": 1, "x": 2}, "body.x: unknown field, expected only ['version']"),
        ("", {"version": "x" * 99}, f"body.version: got '{'x' * 59}..., expected a valid integer"),
    ],
)
def test_an_invalid_parameter_is_named_with_what_was_expected(
    client: TestClient, query: str, body: Any, message: str
) -> None:
    response = client.request("PUT" if body is not None else "GET", f"/choices/a{query}", json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(message)


@pytest.mark.parametrize(
    ("content", "encoding", "status", "words"),
    [
        (b" " * MAX_BYTES + b"{}", None, 413, "body: "),
        (b"{}", "br", 415, "Content-Encoding"),
        (b"version=1", None, 400, "body: not valid JSON: Expecting value at character 0"),
        (b'{"version": "\xff"}', None, 400, "body: not valid JSON: not UTF-8 at byte 13"),
        (b'{"version": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", None, 400, "body: not valid JSON: nested too deeply"),
    ],
    ids=["too large", "unsupported encoding", "not JSON", "not UTF-8", "nested"],
)
def test_a_body_that_the_framework_parses_is_refused_in_the_format_of_every_error(
    client: TestClient, content: bytes, encoding: str | None, status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json"} | ({} if encoding is None else {"Content-Encoding": encoding})
    response = client.put("/choices/a", content=content, headers=headers)

    assert response.status_code == status
    assert words in response.json()["error"]
    assert response.headers.get("Accept-Encoding") == ("gzip, deflate" if status == 415 else None)


def test_a_body_that_is_missing_is_told_its_fields(client: TestClient) -> None:
    response = client.put("/choices/a")

    assert response.status_code == 400
    assert response.json() == {"error": "body: missing, expected a JSON object with ['version']"}


def test_a_body_that_the_framework_parses_may_be_compressed(client: TestClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    assert client.put("/choices/a", content=gzip.compress(b'{"version": 2}'), headers=headers).json() == "aa"
