"""Inference responses of the Open Inference Protocol (V2) in protobuf: `ModelInferResponse`, alone or in a stream."""

from collections.abc import Mapping, Sequence

from models.datatypes import Array, from_numpy
from service.wire import classification, grpc_contents, v2_binary, v2_request
from service.wire.protobuf import encode_bytes, encode_number, encode_varint
from service.wire.v2_request import InferRequest

_FINAL = encode_bytes(4, encode_bytes(1, b"triton_final_response") + encode_bytes(2, encode_number(1, 1)))
"""A parameter of every response in a stream: no other response to the same request follows."""


def encode(
    model: str,
    version: int,
    request: InferRequest,
    outputs: Mapping[str, Array],
    labels: Sequence[str] | None = None,
    *,
    batched: bool = True,
    row_versions: Array | None = None,
) -> bytes:
    """Encode the response to a request.

    Args:
        model, version: what has predicted.
        request: the request.
        outputs: of the model, by name.
        labels: names of the classes.
        batched: whether the first axis of every output is the batch.
        row_versions: the version that has predicted each row, shape (rows,), where a model has several for its domains.

    Raises:
        InvalidInput: more classes are requested than are written.
    """
    parts = [encode_bytes(1, model.encode()), encode_bytes(2, b"%d" % version)]
    if request.id:
        parts.append(encode_bytes(3, request.id.encode()))
    if row_versions is not None:
        value = encode_bytes(3, v2_request.join_versions(row_versions).encode())
        parts.append(encode_bytes(4, encode_bytes(1, v2_request.ROW_VERSIONS.encode()) + encode_bytes(2, value)))
    raw: list[bytes] = []
    for position, requested in enumerate(request.outputs):
        array = outputs[requested.name]
        if requested.classes:
            field = f"outputs[{position}].parameters.classification"
            array = classification.best(array, requested.classes, labels, field, batched=batched)
        datatype = from_numpy(array.dtype)
        tensor = [
            encode_bytes(1, requested.name.encode()),
            encode_bytes(2, datatype.encode()),
            encode_bytes(3, b"".join(map(encode_varint, array.shape))),
        ]
        if requested.binary or not grpc_contents.has_typed(datatype):
            raw.append(encode_bytes(6, v2_binary.write(array)))
        else:
            tensor.append(encode_bytes(5, grpc_contents.encode(array)))
        parts.append(encode_bytes(5, b"".join(tensor)))
    return b"".join((*parts, *raw))


def in_stream(response: bytes) -> bytes:
    """The `ModelStreamInferResponse` with a response."""
    return encode_bytes(2, response + _FINAL)


def error_in_stream(message: str, identity: str) -> bytes:
    """The `ModelStreamInferResponse` for a request that failed.

    Args:
        message: what is wrong.
        identity: id of the request; empty where it has none.
    """
    return encode_bytes(1, message.encode()) + encode_bytes(2, encode_bytes(3, identity.encode()) if identity else b"")
