"""A gRPC client that knows the messages of the service, and no other's."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np

from service.grpc.messages import SERVICE, message_class
from tests.bundles import INPUT

SECONDS = 30
"""Longer than any call here takes; nothing waits for it to pass."""

Metadata = Sequence[tuple[str, str]]


def encode(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


class Client:
    """Calls methods of the inference service by name."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, method: str, request: Any = b"", metadata: Metadata = ()) -> Any:
        """The response to a request; to none in particular where it is empty."""
        return self.with_call(method, request, metadata)[0]

    def with_call(self, method: str, request: Any = b"", metadata: Metadata = ()) -> tuple[Any, grpc.Call]:
        sent = self.channel.unary_unary(f"/{SERVICE}/{method}", encode, message_class(f"{method}Response").FromString)
        return sent.with_call(request, timeout=SECONDS, metadata=metadata)

    def ask(self, method: str, **fields: Any) -> Any:
        return self.call(method, message_class(f"{method}Request")(**fields))

    def infer_stream(self, requests: Iterable[Any], metadata: Metadata = ()) -> Iterator[Any]:
        answers = message_class("ModelStreamInferResponse").FromString
        path = f"/{SERVICE}/ModelStreamInfer"
        return self.channel.stream_stream(path, encode, answers)(iter(requests), timeout=SECONDS, metadata=metadata)


def infer_request(rows: Any, model: str = "tiny", datatype: str = "FP32", *, raw: bool = True, **fields: Any) -> Any:
    """A request with one input, which is raw or else `fp32_contents`."""
    values = np.asarray(rows, np.float32)
    request = message_class("ModelInferRequest")(model_name=model, **fields)
    tensor = request.inputs.add(name=INPUT, datatype=datatype, shape=values.shape)
    if raw:
        request.raw_input_contents.append(values.tobytes())
    else:
        tensor.contents.fp32_contents.extend(values.ravel().tolist())
    return request
