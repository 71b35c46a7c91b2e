"""Decodes requests in protobuf for one version of a model, quickly if a request is like an earlier one.

Clients send the same request again and again with other numbers. Where the raw contents of the one input end the
message, all bytes before them are a template: they are validated the first time, by `grpc_request`, and recognised from
then on.
"""

from collections.abc import Sequence
from typing import NamedTuple

from models.manifest import TensorSpec
from service.wire import grpc_request, v2_binary
from service.wire.json_values import require_finite
from service.wire.templates import MAX_TEMPLATE_BYTES, Templates
from service.wire.v2_request import InferRequest


class _Template(NamedTuple):
    """A validated request without its contents.

    Attributes:
        head: the message up to the contents, their length included.
        request: without inputs.
        shape: of the input.
    """

    head: bytes
    request: InferRequest
    shape: tuple[int, ...]


class GrpcDecoder:
    """Decodes the requests for one version of a model.

    Args:
        inputs, outputs: of the model.
        batched: whether the first axis of every tensor is the batch.
        max_templates: how many are remembered, each for messages of one length; when there are more, all are forgotten.
    """

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        batched: bool = True,
        max_templates: int = 64,
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._batched = batched
        self._templates: Templates[int, _Template] = Templates(max_templates)

    @property
    def template_count(self) -> int:
        """How many requests are remembered."""
        return len(self._templates)

    def decode(self, body: bytes, *, finite: bool = True) -> InferRequest:
        """Decode and validate a request. The result is that of `grpc_request.decode`.

        Args:
            body: the message.
            finite: whether NaN and infinities are refused.

        Raises:
            InvalidInput: anything about the request is wrong; the field says what.
        """
        template = self._templates.get(len(body))
        if template is None or not body.startswith(template.head):
            return self._decode_new(body, finite=finite)
        spec = self._inputs[0]
        raw = memoryview(body)[len(template.head) :]
        array = v2_binary.read(raw, spec.datatype, template.shape, "inputs[0].data")
        if finite:
            require_finite(array, "inputs[0].data")
        return InferRequest({spec.name: array}, *template.request[1:])

    def _decode_new(self, body: bytes, *, finite: bool) -> InferRequest:
        request = grpc_request.decode(body, self._inputs, self._outputs, finite=finite, batched=self._batched)
        if len(self._inputs) == 1 and request.id is None:
            head = len(body) - grpc_request.raw_tail(body)
            if 0 < head < len(body) and head <= MAX_TEMPLATE_BYTES:
                shape = request.inputs[self._inputs[0].name].shape
                self._templates.remember(len(body), _Template(body[:head], request._replace(inputs={}), shape))
        return request
