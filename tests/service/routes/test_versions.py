"""One endpoint, registered for the default version of a model and for a version that is named."""

from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI, Query
from starlette.testclient import TestClient

from service.http import errors
from service.routes.openapi import api_router
from service.routes.parameters import ModelName
from service.routes.versions import for_default_and_named


def router() -> APIRouter:
    routes = api_router("models")

    @for_default_and_named(routes, "GET", "/models/{model}/name", summary="Name")
    async def get_name(model: ModelName, version: int | None, mark: Annotated[str, Query()] = "") -> str:
        """What was asked for."""
        return f"{model} {version}{mark}"

    @for_default_and_named(routes, "GET", "/models/{model}:threaded", summary="Threaded")
    def get_threaded(model: ModelName, version: int | None) -> str:
        """The same, in a thread."""
        return f"{model} {version}"

    return routes


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.router.routes += router().routes
    return app


@pytest.fixture(scope="module")
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/models/mlp/name", "mlp None"),
        ("/models/mlp/versions/3/name", "mlp 3"),
        ("/models/mlp/versions/3/name?mark=!", "mlp 3!"),
        ("/models/mlp:threaded", "mlp None"),
        ("/models/mlp/versions/3:threaded", "mlp 3"),
    ],
)
def test_the_endpoint_gets_the_version_of_the_path_or_none(client: TestClient, path: str, answer: str) -> None:
    assert client.get(path).json() == answer


def test_a_version_in_the_query_names_none(client: TestClient) -> None:
    refused = client.get("/models/mlp/name?version=3")

    assert refused.json() == {"error": "version: unknown query parameter, expected only ['mark']"}
    assert client.get("/models/mlp:threaded?version=3").json() == "mlp None"


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "latest", "1000000000000000000", "٣"])
def test_a_version_that_is_none_is_refused(client: TestClient, version: str) -> None:
    response = client.get(f"/models/mlp/versions/{version}/name")

    assert response.status_code == 400
    assert response.json()["error"].startswith("path.version: got ")


def test_both_operations_are_described_each_with_an_id_of_its_own(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    default, named = (
        paths[path]["get"] for path in ("/models/{model}/name", "/models/{model}/versions/{version}/name")
    )

    assert (default["operationId"], named["operationId"]) == ("get_name", "get_name_version")
    assert (default["summary"], named["summary"]) == ("Name", "Name (one version)")
    assert default["description"] == named["description"] == "What was asked for."
    assert [parameter["name"] for parameter in default["parameters"]] == ["model", "mark"]
    assert [parameter["name"] for parameter in named["parameters"]] == ["model", "version", "mark"]
    version = named["parameters"][1]["schema"]
    assert (version["type"], version["minimum"], version["exclusiveMaximum"]) == ("integer", 1, 10**18)
