"""Tensors as the Open Inference Protocol (V2) writes them, from the client's side."""

import numpy as np
import orjson
from numpy.typing import NDArray

Floats = NDArray[np.float32]

JSON_LENGTH = "Inference-Header-Content-Length"


def write_json(rows: Floats) -> tuple[dict[str, str], bytes]:
    """Headers and body. Numbers have the shortest digits that give back the same float32."""
    request = {"inputs": [_tensor(rows) | {"data": rows.ravel()}]}
    return {"Content-Type": "application/json"}, orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY)


def write_binary(rows: Floats) -> tuple[dict[str, str], bytes]:
    """Headers and body. The answer is asked for in binary too."""
    tensor = _tensor(rows) | {"parameters": {"binary_data_size": rows.nbytes}}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}, head + rows.tobytes()


def read(body: bytes, json_length: str | None) -> Floats:
    """The first output of an answer, whose header `JSON_LENGTH` is given; None for one in JSON alone."""
    length = int(json_length or len(body))
    output = orjson.loads(body[:length])["outputs"][0]
    if "data" in output:
        return np.array(output["data"], np.float32).reshape(output["shape"])
    return np.frombuffer(body, np.float32, offset=length).reshape(output["shape"])


def _tensor(rows: Floats) -> dict[str, object]:
    return {"name": "input", "datatype": "FP32", "shape": list(rows.shape)}
