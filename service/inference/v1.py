"""Predictions in TensorFlow Serving's REST format, V1: rows, or columns, in JSON."""

from collections.abc import Mapping
from functools import partial

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.dialect import (
    Answer,
    Call,
    Query,
    RowScores,
    WithoutPriority,
    find_image_reader,
    json_answer,
    memory_of_numbers,
    memory_of_tensors,
)
from service.inference.queue import Outputs
from service.wire import image_reader, v1_examples, v1_json


class _WithoutExtras(WithoutPriority):
    """The part of a dialect without priorities and scores."""

    requires_scores = False

    def score(self, observed: RowScores, inputs: Mapping[str, Array]) -> Outputs:  # noqa: ARG002
        """Nothing: the format has no place for scores."""
        return {}


class V1(_WithoutExtras):
    """The dialect of TensorFlow Serving.

    Args:
        finite: whether NaN and infinities in inputs are refused.
        max_pixels: of the largest image, and of all images of a request together.
    """

    def __init__(self, *, finite: bool, max_pixels: int) -> None:
        self._finite = finite
        self._max_pixels = max_pixels

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """Of what is as large as its numbers are many, and of images."""
        reader = find_image_reader(served, body, image_reader.BASE64)
        return memory_of_tensors(body, reader, image_reader.find_base64, self._max_pixels)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:  # noqa: ARG002
        """Read a body."""
        reader = find_image_reader(served, body, image_reader.BASE64)
        request = v1_json.decode(
            body,
            served.manifest.inputs,
            finite=self._finite,
            batched=served.is_batchable,
            read_images=None if reader is None else partial(reader.read, max_pixels=self._max_pixels),
        )
        return Query(request.inputs, request)

    def encode(
        self,
        served: ServedVersion,  # noqa: ARG002 - answers do not depend on the version
        call: Call,
        query: Query,
        outputs: Outputs,
        scores: Outputs | None,  # noqa: ARG002 - for which the format has no place
    ) -> Answer:
        """Write an answer."""
        return json_answer(call, v1_json.encode(query.details, outputs))


class Examples(_WithoutExtras):
    """The dialect of TensorFlow Serving's classify and regress: examples with features by name.

    Args:
        task: what the answer is.
        finite: whether NaN and infinities in inputs are refused.
    """

    def __init__(self, task: v1_examples.Task, *, finite: bool) -> None:
        self._task = task
        self._finite = finite

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """Of what is as large as its numbers are many."""
        return memory_of_numbers(body)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:  # noqa: ARG002
        """Read a body."""
        v1_examples.require_task(served.manifest, self._task)
        return Query(v1_examples.decode(body, served.manifest.inputs, self._task, finite=self._finite), None)

    def encode(
        self,
        served: ServedVersion,
        call: Call,
        query: Query,  # noqa: ARG002 - answers do not depend on what was asked
        outputs: Outputs,
        scores: Outputs | None,  # noqa: ARG002 - for which the format has no place
    ) -> Answer:
        """Write an answer."""
        return json_answer(call, v1_examples.encode(served.manifest, outputs, self._task))
