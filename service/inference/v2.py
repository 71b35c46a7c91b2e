"""Predictions in the Open Inference Protocol, V2: tensors in JSON, in binary, or both."""

from collections.abc import Mapping

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.dialect import JSON, Answer, Call, Query, compressed_answer, memory_of_numbers
from service.inference.queue import Outputs
from service.watching.observed_model import ObservedModel
from service.wire import v2_request, v2_response

_JSON_LENGTH = b"inference-header-content-length"
_MAX_SEARCHED_BYTES = 1 << 16
"""Of a body in which a priority is looked for while the queue is full: about what comes together with the head."""
_BINARY = (b"content-type", b"application/octet-stream")


class V2:
    """The dialect of the Open Inference Protocol.

    Args:
        finite: whether NaN and infinities in inputs are refused.
    """

    requires_scores = True

    def __init__(self, *, finite: bool) -> None:
        self._finite = finite

    def decoding_memory(self, body: bytes) -> int:
        """Of what is as large as its numbers are many."""
        return memory_of_numbers(body)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a body."""
        length = call.headers.get(_JSON_LENGTH)
        request = served.decoder.decode(body, None if length is None else str(length, "latin-1"), finite=self._finite)
        return Query(request.inputs, request, request.priority, request.timeout, request.layer_statistics)

    def may_have_priority(self, call: Call) -> bool:
        """Whether the body is small enough to look for a parameter."""
        length = call.headers.get(b"content-length", b"")
        return length.isdigit() and int(length) <= _MAX_SEARCHED_BYTES

    def has_priority(self, call: Call, body: bytes) -> bool:  # noqa: ARG002
        """Whether the body has the name of the parameter in it."""
        return b'"priority"' in body

    def score(self, observed: ObservedModel, inputs: Mapping[str, Array]) -> Outputs:
        """Two more outputs: the score of each row, and the layer in which it is most unusual."""
        return score(observed, inputs)

    def encode(
        self, served: ServedVersion, call: Call, query: Query, outputs: Outputs, scores: Outputs | None
    ) -> Answer:
        """Write an answer, compressed where the client accepts that and it is worth it."""
        named = outputs if scores is None else {**outputs, **scores}
        body, json_length = v2_response.encode(
            served.model,
            served.version,
            query.details,
            named,
            served.manifest.labels,
            batched=served.is_batchable,
        )
        headers = [JSON] if json_length is None else [_BINARY, (_JSON_LENGTH, b"%d" % json_length)]
        return compressed_answer(call, headers, body)


def score(observed: ObservedModel, inputs: Mapping[str, Array]) -> Outputs:
    """The outputs that layer statistics add: the score of each row, and the layer in which it is most unusual."""
    scores, layers = observed.score(inputs)
    return {v2_request.DRIFT_SCORE: scores, v2_request.DRIFT_LAYER: layers}
