"""Errors of requests that no endpoint sees."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI, Query
from pydantic import BaseModel
from starlette.testclient import TestClient

from service.http import errors


class Choice(BaseModel):
    """A body."""

    version: int


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    errors.install(app)
    routes = APIRouter()

    @app.get("/choices/{name}")
    async def read(name: str, window: Annotated[int, Query(le=9)] = 1) -> str:
        return name * window

    @routes.delete("/choices/{name}")
    async def delete(name: str) -> str:
        return name

    @routes.put("/choices/{name}")
    async def write(name: str, choice: Annotated[Choice, Body()]) -> str:
        return name * choice.version

    app.include_router(routes)
    return TestClient(app)


def test_a_wrong_method_names_those_of_all_routes_with_the_path(client: TestClient) -> None:
    response = client.post("/choices/a")

    assert response.status_code == 405
    assert response.headers["Allow"] == "DELETE, GET, PUT"
    assert response.json() == {"error": "method: got POST, this path allows DELETE, GET, PUT"}


def test_an_unknown_path_is_named(client: TestClient) -> None:
    response = client.get("/choice")

    assert response.status_code == 404
    assert response.json() == {"error": "path: no such path '/choice'; /docs lists all paths"}


@pytest.mark.parametrize(
    ("query", "body", "message"),
    [
        ("?window=x", None, "query.window: got 'x', expected a valid integer, unable to parse string as an integer"),
        ("?window=10", None, "query.window: got '10', expected less than or equal to 9"),
        ("", {}, "body.version: missing"),
        ("", {"version": "x" * 99}, f"body.version: got '{'x' * 59}..., expected a valid integer"),
    ],
)
def test_an_invalid_parameter_is_named_with_what_was_expected(
    client: TestClient, query: str, body: Any, message: str
) -> None:
    response = client.request("PUT" if body is not None else "GET", f"/choices/a{query}", json=body)

    assert response.status_code == 400
    assert response.json()["error"].startswith(message)
