"""Predictions in the Open Inference Protocol, V2, in protobuf: what gRPC carries."""

from functools import partial

from service.catalog.served_version import ServedVersion
from service.inference.dialect import Answer, Call, Query, find_image_reader, memory_of_tensors
from service.inference.queue import Outputs
from service.inference.v2 import OpenInference, to_query
from service.wire import grpc_request, grpc_response, image_reader


class V2Grpc(OpenInference):
    """The dialect of the Open Inference Protocol over gRPC."""

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """Of what is as large as its numbers are many, and of images."""
        reader = find_image_reader(served, body, image_reader.DATATYPE)
        return memory_of_tensors(body, reader, image_reader.find_files, self._max_pixels)

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
        return to_query(request)

    def may_have_priority(self, call: Call) -> bool:  # noqa: ARG002
        """Yes: the message is there already."""
        return True

    def has_priority(self, call: Call, body: bytes) -> bool:  # noqa: ARG002
        """Whether the message has the name of the parameter in it."""
        return b"priority" in body

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
            row_versions=query.row_versions,
        )
        return Answer([], body)
