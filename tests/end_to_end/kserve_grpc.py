"""KServe's gRPC client against a service: python kserve_grpc.py ADDRESS. Prints one JSON object."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

ROWS = np.random.default_rng(0).normal(scale=3, size=(5, 4)).astype(np.float32)


def request(*, raw: bool, model: str = "tiny") -> InferRequest:
    tensor = InferInput("input", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=raw)
    return InferRequest(model, [tensor], request_id="seven")


async def main(address: str) -> dict[str, Any]:
    async with InferenceGRPCClient(url=address) as client:
        found: dict[str, Any] = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model ready": await client.is_model_ready("tiny"),
        }
        for name, raw in (("raw", True), ("typed", False)):
            response = await client.infer(request(raw=raw))
            found[name] = response.outputs[0].as_numpy().tolist()
            found["id"] = response.id
        try:
            await client.infer(request(raw=True, model="other"))
        except Exception as error:  # noqa: BLE001 - whatever the client makes of it
            found["unknown model"] = str(error)
        return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1]))))  # noqa: T201 - what the test reads
