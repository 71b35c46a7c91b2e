"""Predictions in the Open Inference Protocol, V2: tensors in JSON, in binary, or both."""

from collections.abc import Mapping
from functools import partial

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.dialect import (
    JSON,
    Answer,
    Call,
    Query,
    RowScores,
    compressed_answer,
    find_image_reader,
    memory_of_tensors,
)
from service.inference.queue import Outputs
from service.wire import image_reader, v2_request, v2_response
from service.wire.image_reader import ImageReader
from service.wire.pieces import INLINE_BYTES, RAW_INLINE_BYTES
from service.wire.v2_request import InferRequest

_JSON_LENGTH = b"inference-header-content-length"
_MAX_PRIORITY_BYTES = 1 << 16
"""Of a body in which a priority is looked for while the queue is full: about what comes together with the head."""
_MAX_DIGITS = 9
"""Of the length of a JSON part."""
_BINARY = (b"content-type", b"application/octet-stream")


class OpenInference:
    """What the dialects of the Open Inference Protocol share.

    Args:
        finite: whether NaN and infinities in inputs are refused.
        max_pixels: of the largest image, and of all images of a request together.
    """

    requires_scores = True

    def __init__(self, *, finite: bool, max_pixels: int) -> None:
        self._finite = finite
        self._max_pixels = max_pixels

    def score(self, observed: RowScores, inputs: Mapping[str, Array]) -> Outputs:
        """Two more outputs: the score of each row, and the layer in which it is most unusual."""
        scores, layers = observed.score(inputs)
        return {v2_request.DRIFT_SCORE: scores, v2_request.DRIFT_LAYER: layers}


def to_query(request: InferRequest) -> Query:
    """The query of a validated request."""
    return Query(request.inputs, request, request.priority, request.timeout, request.layer_statistics, request.id or "")


class V2(OpenInference):
    """The dialect of the Open Inference Protocol over HTTP."""

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:
        """Of what is as large as its numbers are many, and of images."""
        if served.image_reader is None and len(body) <= INLINE_BYTES:  # as most requests are
            return 0
        reader = _find_image_reader(served, call, body)
        if reader is None and _is_raw(served, call, body):
            return 0
        return memory_of_tensors(body, reader, image_reader.find_files, self._max_pixels)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a body."""
        length = call.headers.get(_JSON_LENGTH)
        header_length = None if length is None else str(length, "latin-1")
        reader = _find_image_reader(served, call, body)
        if reader is None:
            request = served.decoder.decode(body, header_length, finite=self._finite)
        else:
            request = v2_request.decode(
                body,
                header_length,
                served.manifest.inputs,
                served.manifest.outputs,
                finite=self._finite,
                batched=served.is_batchable,
                read_images=partial(reader.read, max_pixels=self._max_pixels),
            )
        return to_query(request)

    def may_have_priority(self, call: Call) -> bool:
        """Whether the body is small enough to look for a parameter."""
        length = call.headers.get(b"content-length", b"")
        return length.isdigit() and int(length) <= _MAX_PRIORITY_BYTES

    def has_priority(self, call: Call, body: bytes) -> bool:  # noqa: ARG002
        """Whether the body has the name of the parameter in it."""
        return b'"priority"' in body

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
            row_versions=query.row_versions,
        )
        headers = [JSON] if json_length is None else [_BINARY, (_JSON_LENGTH, b"%d" % json_length)]
        return compressed_answer(call, headers, body)


def _is_raw(served: ServedVersion, call: Call, body: bytes) -> bool:
    """Whether most of a body is numbers in binary: they are looked at once, and stay where they are."""
    length = _json_length(call)
    if length is None or length > INLINE_BYTES:
        return False
    is_text = any(spec.datatype == "BYTES" for spec in served.manifest.inputs)
    return len(body) <= RAW_INLINE_BYTES and not is_text


def _find_image_reader(served: ServedVersion, call: Call, body: bytes) -> ImageReader | None:
    """What reads the images of a body, which come behind its JSON part."""
    if served.image_reader is None or (length := _json_length(call)) is None:
        return None
    return find_image_reader(served, body, image_reader.DATATYPE, min(length, v2_request.MAX_DESCRIPTION_BYTES))


def _json_length(call: Call) -> int | None:
    """Bytes of the JSON part before numbers in binary; None where all is JSON, or the body is refused."""
    length = call.headers.get(_JSON_LENGTH, b"")
    return int(length) if length.isdigit() and len(length) <= _MAX_DIGITS else None
