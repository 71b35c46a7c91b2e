"""What HTTP alone costs: read the body, send a fixed answer."""

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWER = orjson.dumps(
    {
        "model_name": "echo",
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [1, 10], "data": [i + 0.12345678 for i in range(10)]}
        ],
    }
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


def create() -> ASGIApp:
    return app


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])  # tells uvicorn that there is no lifespan
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
