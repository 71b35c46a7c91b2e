"""Predictions in the Open Inference Protocol, V2, in protobuf: what gRPC carries."""

from collections.abc import Mapping

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.dialect import Answer, Call, Query, memory_of_numbers
from service.inference.queue import Outputs
from service.inference.v2 import score
from service.watching.observed_model import ObservedModel
from service.wire import grpc_response


class V2Grpc:
    """The dialect of the Open Inference Protocol over gRPC.

    Args:
        finite: whether NaN and infinities in inputs are refused.
    """

    requires_scores = True

    def __init__(self, *, finite: bool) -> None:
        self._finite = finite

    def decoding_memory(self, body: bytes) -> int:
        """Of what is as large as its numbers are many."""
        return memory_of_numbers(body)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:  # noqa: ARG002 - all is in the body
        """Read a message."""
        request = served.grpc_decoder.decode(body, finite=self._finite)
        return Query(request.inputs, request, request.priority, request.timeout, request.layer_statistics)

    def may_have_priority(self, call: Call) -> bool:  # noqa: ARG002
        """Yes: the message is there already."""
        return True

    def has_priority(self, call: Call, body: bytes) -> bool:  # noqa: ARG002
        """Whether the message has the name of the parameter in it."""
        return b"priority" in body

    def score(self, observed: ObservedModel, inputs: Mapping[str, Array]) -> Outputs:
        """Two more outputs: the score of each row, and the layer in which it is most unusual."""
        return score(observed, inputs)

    def encode(
        self,
        served: ServedVersion,
        call: Call,  # noqa: ARG002 - answers do not depend on the headers
        query: Query,
        outputs: Outputs,
        scores: Outputs | None,
    ) -> Answer:
        """Write a message."""
        named = outputs if scores is None else {**outputs, **scores}
        body = grpc_response.encode(
            served.model,
            served.version,
            query.details,
            named,
            served.manifest.labels,
            batched=served.is_batchable,
        )
        return Answer([], body)
