"""What happens around a request when something inside it breaks."""

import json
from collections.abc import Iterator

import pytest
import structlog
from fastapi import FastAPI
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from models.errors import InferenceFailed
from service.errors import INTERNAL
from service.http import errors
from service.http.context import RequestContext
from service.telemetry.logs import add_ids
from service.telemetry.requests import RequestRecorder
from service.telemetry.statistics import ServiceStatistics


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    errors.install(app)

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("secret: /etc/passwd")

    @app.get("/failed")
    async def failed() -> None:
        raise InferenceFailed("secret: /etc/passwd")

    @app.get("/well")
    async def well() -> str:
        return "well"

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def chunks() -> Iterator[bytes]:
            yield b"half"
            raise RuntimeError("secret")

        return StreamingResponse(chunks())

    return TestClient(RequestContext(RequestRecorder(ServiceStatistics())).around(app), raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/bug", "/failed"])
def test_details_of_a_defect_go_to_the_log_and_not_to_the_caller(client: TestClient, path: str) -> None:
    with structlog.testing.capture_logs([add_ids]) as events:
        response = client.get(path, headers={"X-Request-ID": "mine"})

    assert response.status_code == 500
    assert response.headers["X-Request-ID"] == "mine"
    assert json.loads(response.content) == {"error": INTERNAL.message}
    details = next(event for event in events if event["log_level"] == "error")
    assert details["request_id"] == "mine"
    assert "secret" in str(details["exc_info"])


def test_an_answer_that_breaks_off_is_still_logged_and_counted(client: TestClient) -> None:
    with structlog.testing.capture_logs() as events:
        client.get("/half")

    assert [event["event"] for event in events] == ["unexpected_error", "request"]


def test_head_is_answered_like_get_without_the_body(client: TestClient) -> None:
    for path in ("/well", "/half"):
        with structlog.testing.capture_logs() as events:
            head, get = client.head(path), client.get(path)

        assert head.status_code == get.status_code == 200
        assert {**head.headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}
        assert head.content == b""
        assert [event["method"] for event in events if event["event"] == "request"] == ["HEAD", "GET"]
