"""What Python can do at best: python -m benchmarks.grpc.limits {bare,echo} PORT ONNX_FILE.

`bare` has grpc.aio, protobuf and onnxruntime on the event loop: no checks, no metrics. `echo` sends a fixed answer.
"""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import uvloop

from benchmarks.grpc.requests import MODEL
from benchmarks.service.session import open_session
from benchmarks.service.wire import Floats
from service.grpc.messages import SERVICE, message_class

Infer = Callable[[bytes, object], Awaitable[bytes]]

_Request, _Response = message_class("ModelInferRequest"), message_class("ModelInferResponse")


def respond(logits: Floats) -> bytes:
    response = _Response(model_name=MODEL, model_version="1", raw_output_contents=[logits.tobytes()])
    response.outputs.add(name="logits", datatype="FP32", shape=logits.shape)
    return bytes(response.SerializeToString())


def bare(file: str) -> Infer:
    run = open_session(Path(file)).run

    async def infer(body: bytes, _context: object) -> bytes:
        request = _Request.FromString(body)
        (tensor,) = request.inputs
        if request.raw_input_contents:
            rows = np.frombuffer(request.raw_input_contents[0], np.float32)
        else:
            rows = np.array(tensor.contents.fp32_contents, np.float32)
        return respond(run(None, {"input": rows.reshape(tuple(tensor.shape))})[0])

    return infer


def echo(_file: str) -> Infer:
    answer = respond(np.zeros((1, 10), np.float32))

    async def infer(_body: bytes, _context: object) -> bytes:
        return answer

    return infer


async def serve(kind: str, port: str, file: str) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        {"bare": bare, "echo": echo}[kind](file)
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": method}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(*sys.argv[1:]))
