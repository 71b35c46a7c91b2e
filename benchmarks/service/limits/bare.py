"""What Python can do at best: no framework, no checks, no metrics; onnxruntime runs on the event loop.

MODELS_FOLDER names the folder of the .onnx files, MODELS_PROVIDER what runs them: cpu, the default, or cuda.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
from starlette.types import Receive, Scope, Send

from benchmarks.service.session import open_session
from benchmarks.service.wire import Floats

LENGTH = b"inference-header-content-length"
BINARY, JSON = (b"content-type", b"application/octet-stream"), (b"content-type", b"application/json")


class Bare:
    """An ASGI application of one route.

    Args:
        read_json: a JSON request to its first input.
    """

    def __init__(self, read_json: Callable[[bytes], Floats]) -> None:
        self._read_json = read_json
        files = Path(os.environ["MODELS_FOLDER"]).glob("*.onnx")
        provider = os.environ.get("MODELS_PROVIDER", "cpu")
        self._runs = {f"/v2/models/{file.stem}/infer": open_session(file, provider).run for file in files}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])  # tells uvicorn that there is no lifespan
        run = self._runs[scope["path"]]
        length = next((int(value) for name, value in scope["headers"] if name == LENGTH), None)
        body = await _read_body(receive)
        rows = self._read_json(body) if length is None else _read_binary(body, length)
        headers, answer = _write(run(None, {"input": rows})[0], binary=length is not None)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def with_orjson() -> Bare:
    def read(body: bytes) -> Floats:
        tensor = orjson.loads(body)["inputs"][0]
        return np.array(tensor["data"], np.float32).reshape(tensor["shape"])

    return Bare(read)


def with_simdjson() -> Bare:
    import simdjson  # noqa: PLC0415 - the other limit does without

    parser = simdjson.Parser()

    def read(body: bytes) -> Floats:
        tensor: Any = cast("Any", parser.parse(body)).at_pointer("/inputs/0")
        numbers = np.frombuffer(tensor["data"].as_buffer(of_type="d"), np.float64)
        return numbers.astype(np.float32).reshape(tuple(tensor["shape"].as_list()))

    return Bare(read)


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    chunks: list[bytes] = [message["body"]]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message["body"])
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _read_binary(body: bytes, length: int) -> Floats:
    shape = orjson.loads(body[:length])["inputs"][0]["shape"]
    return np.frombuffer(body, np.float32, offset=length).reshape(shape)


def _write(logits: Floats, *, binary: bool) -> tuple[list[tuple[bytes, bytes]], bytes]:
    output: dict[str, object] = {"name": "logits", "datatype": "FP32", "shape": logits.shape}
    if binary:
        output["parameters"] = {"binary_data_size": logits.nbytes}
        head = orjson.dumps({"outputs": [output]})
        answer = head + logits.tobytes()
        headers = [BINARY, (LENGTH, b"%d" % len(head))]
    else:
        output["data"] = logits.ravel()
        answer = orjson.dumps({"outputs": [output]}, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = [JSON]
    return [*headers, (b"content-length", b"%d" % len(answer))], answer
