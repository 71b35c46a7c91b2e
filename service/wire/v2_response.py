"""Inference responses of the Open Inference Protocol (V2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.datatypes import Array, from_numpy
from service.wire import classification, json_writer, v2_binary, v2_request
from service.wire.json_arrays import to_json
from service.wire.v2_request import InferRequest


def encode(
    model: str,
    version: int,
    request: InferRequest,
    outputs: Mapping[str, Array],
    labels: Sequence[str] | None = None,
    *,
    batched: bool = True,
    row_versions: Array | None = None,
) -> tuple[bytes, int | None]:
    """Encode the response to a request.

    Args:
        model, version: what has predicted.
        request: the request.
        outputs: of the model, by name.
        labels: names of the classes.
        batched: whether the first axis of every output is the batch.
        row_versions: the version that has predicted each row, shape (rows,), where a model has several for its domains.

    Returns:
        The body, and the length of its JSON part if raw tensors follow it. NaN and infinities are `null` in JSON, and
        exact in raw tensors.

    Raises:
        InvalidInput: more classes are requested than are written.
    """
    described: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for position, requested in enumerate(request.outputs):
        array = outputs[requested.name]
        if requested.classes:
            field = f"outputs[{position}].parameters.classification"
            array = classification.best(array, requested.classes, labels, field, batched=batched)
        entry: dict[str, Any] = {"name": requested.name, "datatype": from_numpy(array.dtype), "shape": array.shape}
        if requested.binary:
            raw.append(v2_binary.write(array))
            entry["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            entry["data"] = to_json(array.reshape(-1))
        described.append(entry)
    response: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if request.id is not None:
        response["id"] = request.id
    if row_versions is not None:
        response["parameters"] = {v2_request.ROW_VERSIONS: v2_request.join_versions(row_versions)}
    response["outputs"] = described
    header = json_writer.dumps(response)
    tail = b"".join(raw)
    return (header + tail, len(header)) if tail else (header, None)
