"""Predictions in the Open Inference Protocol, V2, in protobuf: what gRPC carries."""

from collections.abc import Mapping
from functools import partial

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.dialect import Answer, Call, Query, find_image_reader, memory_of_numbers
from service.inference.queue import Outputs
from service.inference.v2 import score
from service.watching.observed_model import ObservedModel
from service.wire import grpc_request, grpc_response, image_reader


class V2Grpc:
    """The dialect of the Open Inference Protocol over gRPC.

    Args:
        finite: whether NaN and infinities in inputs are refused.
        max_pixels: of the largest image, and of all images of a request together.
    """

    requires_scores = True

    def __init__(self, *, finite: bool, max_pixels: int) -> None:
        self._finite = finite
        self._max_pixels = max_pixels

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """Of what is as large as its numbers are many, and of images."""
        reader = find_image_reader(served, body, image_reader.DATATYPE)
        if reader is None:
            return memory_of_numbers(body)
        return memory_of_numbers(body) + reader.decoding_bytes(image_reader.find_files(body), self._max_pixels)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:  # noqa: ARG002 - all is in the body
        """Read a message."""
        reader = find_image_reader(served, body, image_reader.DATATYPE)
        if reader is None:
            request = served.grpc_decoder.decode(body, finite=self._finite)
        else:
            request = grpc_request.decode(
                body,
                served.manifest.inputs,
                served.manifest.outputs,
                finite=self._finite,
                batched=served.is_batchable,
                read_images=partial(reader.read, max_pixels=self._max_pixels),
            )
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
