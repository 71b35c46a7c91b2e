"""Triton's gRPC client against a service: python triton_grpc.py ADDRESS HTTP_URL. Prints one JSON object.

A program of its own: in one process, this client and KServe's register messages of the same names.
"""

import asyncio
import json
import queue
import sys
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

ROWS = np.random.default_rng(0).normal(scale=3, size=(5, 4)).astype(np.float32)


def inputs(rows: Any = ROWS) -> list[InferInput]:
    tensor = InferInput("input", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def refusal(call: Any, *arguments: Any, **options: Any) -> str:
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"
    return "accepted"


def by_stream(client: Any) -> list[Any]:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for identity, model in (("0", "tiny"), ("1", "other"), ("2", "tiny")):
        client.async_stream_infer(model, inputs(), request_id=identity, enable_empty_final_response=True)
    received = [answers.get(timeout=30) for _ in range(3)]
    client.stop_stream()
    return [str(error) if result is None else result.as_numpy("logits").tolist() for result, error in received]


def by_callback(client: Any) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    client.async_infer("tiny", inputs(), lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=30)
    return str(error) if result is None else result.as_numpy("logits").tolist()


async def by_asyncio(address: str) -> dict[str, Any]:
    async with tritonclient.grpc.aio.InferenceServerClient(address) as client:

        async def requests() -> Any:
            for _ in range(2):
                yield {"model_name": "tiny", "inputs": inputs()}

        result = await client.infer("tiny", inputs(), request_id="seven")
        streamed = [result.as_numpy("logits").tolist() async for result, _ in client.stream_infer(requests())]
        return {
            "logits": result.as_numpy("logits").tolist(),
            "streamed": streamed,
            "live": await client.is_server_live(),
        }


def main(address: str) -> dict[str, Any]:
    client = tritonclient.grpc.InferenceServerClient(address)
    result = client.infer("tiny", inputs(), request_id="seven")
    classes = client.infer("tiny", inputs(), outputs=[InferRequestedOutput("logits", class_count=1)])
    config = client.get_model_config("tiny", as_json=True)["config"]
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("tiny", "1"),
        "server": client.get_server_metadata(as_json=True)["name"],
        "inputs": client.get_model_metadata("tiny", as_json=True)["inputs"],
        "config": [config["max_batch_size"], config["input"][0]["data_type"], config["input"][0]["dims"]],
        "id": result.get_response().id,
        "logits": result.as_numpy("logits").tolist(),
        "compressed": client.infer("tiny", inputs(), compression_algorithm="gzip").as_numpy("logits").tolist(),
        "classes": [row[0].decode().rpartition(":")[2] for row in classes.as_numpy("logits")],
        "callback": by_callback(client),
        "stream": by_stream(client),
        "asyncio": asyncio.run(by_asyncio(address)),
        "unknown model": refusal(client.infer, "other", inputs()),
        "wrong shape": refusal(client.infer, "tiny", inputs(ROWS[:, :3])),
        "timeout": refusal(client.infer, "tiny", inputs(), client_timeout=-1.0),
        "shared memory": refusal(client.register_system_shared_memory, "region", "/key", 4),
        "trace": refusal(client.get_trace_settings),
        "log": refusal(client.get_log_settings),
    }
    statistics = client.get_inference_statistics("tiny", as_json=True)["model_stats"][0]
    found["counted"] = int(statistics["inference_count"]) > 0
    client.unload_model("tiny")
    found["unloaded"] = [client.is_model_ready("tiny"), refusal(client.infer, "tiny", inputs())]
    client.load_model("tiny")
    index = client.get_model_repository_index(as_json=True)["models"]
    found["index"] = [(model["name"], model["version"], model["state"]) for model in index]
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))  # noqa: T201 - what the test reads
