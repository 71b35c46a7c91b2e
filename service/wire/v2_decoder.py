"""Decodes V2 requests for one version of a model, quickly if a request is like an earlier one.

The numbers are most of a request. Where they are the data of its only input, they are read apart from the text around
them. Clients send the same request again and again with other numbers: that text is a template, which is validated the
first time, by `v2_request`, and recognised by its bytes from then on, unless it has an id.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import orjson

from models.datatypes import Array
from models.manifest import TensorSpec
from service.wire import json_numbers, v2_binary, v2_request
from service.wire.json_values import require_finite
from service.wire.pieces import INLINE_BYTES
from service.wire.templates import MAX_TEMPLATE_BYTES, Templates
from service.wire.v2_request import InferRequest

_DATA = b'"data"'


class _Template(NamedTuple):
    """A validated request without its numbers.

    Attributes:
        request: without inputs.
        shape: of the input.
        size: of the input: in JSON the count of its numbers, else its bytes.
    """

    request: InferRequest
    shape: tuple[int, ...]
    size: int


class V2Decoder:
    """Decodes the requests for one version of a model.

    Args:
        inputs, outputs: of the model.
        max_templates: how many requests of each form are remembered; when there are more, all are forgotten.
        batched: whether the first axis of every tensor is the batch.
    """

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        max_templates: int = 64,
        *,
        batched: bool = True,
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._input = inputs[0]
        self._has_one_input = len(inputs) == 1
        self._batched = batched
        self._json: Templates[tuple[bytes, bytes], _Template] = Templates(max_templates)
        self._binary: Templates[bytes, _Template] = Templates(max_templates)

    @property
    def template_counts(self) -> tuple[int, int]:
        """How many JSON and how many binary requests are remembered."""
        return len(self._json), len(self._binary)

    def decode(self, body: bytes, header_length: str | None, *, finite: bool = True) -> InferRequest:
        """Decode and validate a request. The result is that of `v2_request.decode`.

        Args:
            body: the whole body.
            header_length: value of `Inference-Header-Content-Length`; None if the body is JSON only.
            finite: whether NaN and infinities are refused.

        Raises:
            InvalidInput: anything about the request is wrong; the field says what.
        """
        if self._has_one_input:
            if header_length is not None:
                return self._decode_binary(body, header_length, finite=finite)
            if len(body) <= INLINE_BYTES:
                return self._decode_json(body, finite=finite)
        return self._decode_new(body, header_length, finite=finite)

    def _decode_json(self, body: bytes, *, finite: bool) -> InferRequest:
        start = body.find(b"[", body.find(_DATA))
        depth = 1
        while body.startswith(b"[", start + depth):
            depth += 1
        end = body.find(b"]" * depth, start) + depth
        if start + len(body) - end > MAX_TEMPLATE_BYTES or depth > len(self._input.shape):
            return self._decode_new(body, None, finite=finite)
        around, numbers = (body[:start], body[end:]), memoryview(body)[start:end]
        template = self._json.get(around)
        if template is not None:
            shape = (template.size,) if depth == 1 else template.shape
            array = json_numbers.parse_numbers(numbers, self._input.datatype, shape)
            if array is not None:
                return self._fill(template, array.reshape(template.shape))
        parsed = _parse_around(*around) if template is None else None
        if parsed is not None and self._insert(parsed, numbers, depth):
            request = self._interpret(parsed, finite=finite)
        else:
            request = self._decode_new(body, None, finite=finite)
        if parsed is not None and request.id is None:
            array = request.inputs[self._input.name]
            self._json.remember(around, _Template(request._replace(inputs={}), array.shape, array.size))
        return request

    def _decode_binary(self, body: bytes, header_length: str, *, finite: bool) -> InferRequest:
        header, raw = v2_binary.split(body, header_length)
        template = self._binary.get(header)
        if template is not None and len(raw) == template.size:
            field = "inputs[0].data"
            array = v2_binary.read(raw, self._input.datatype, template.shape, field)
            if finite:
                require_finite(array, field)
            return self._fill(template, array)
        request = self._decode_new(body, header_length, finite=finite)
        # All bytes behind the header are the one input's.
        if template is None and request.id is None and raw and 0 < len(header) <= MAX_TEMPLATE_BYTES:
            shape = request.inputs[self._input.name].shape
            self._binary.remember(header, _Template(request._replace(inputs={}), shape, len(raw)))
        return request

    def _decode_new(self, body: bytes, header_length: str | None, *, finite: bool) -> InferRequest:
        return v2_request.decode(body, header_length, self._inputs, self._outputs, finite=finite, batched=self._batched)

    def _insert(self, request: dict[str, Any], numbers: memoryview, depth: int) -> bool:
        """Insert the data of the first input as an array, if it can be read in the shape that the request states."""
        tensor = request["inputs"][0]
        shape = tensor.get("shape")
        if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
            return False
        if depth not in (1, len(shape)):
            return False
        array = json_numbers.read_regular(numbers, self._input.datatype, [prod(shape)] if depth == 1 else shape)
        tensor["data"] = array
        return array is not None

    def _interpret(self, request: dict[str, Any], *, finite: bool) -> InferRequest:
        return v2_request.interpret(
            request, memoryview(b""), self._inputs, self._outputs, finite=finite, batched=self._batched
        )

    def _fill(self, template: _Template, array: Array) -> InferRequest:
        return InferRequest({self._input.name: array}, *template.request[1:])


def _parse_around(before: bytes, after: bytes) -> dict[str, Any] | None:
    """A request without the data of its first input; None if something else is missing between the two parts."""
    text = before + b"0" + after
    if text.count(_DATA) != 1 or b"\\" in text:  # twice, or perhaps escaped
        return None
    try:
        request = orjson.loads(text)
        return request if request["inputs"][0]["data"] == 0 else None
    except (ValueError, LookupError, TypeError):
        return None
