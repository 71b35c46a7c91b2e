"""A dialect is one way in which clients write predictions and read their answers: V2, V1, images.

The handler knows no dialect, and a dialect knows no transport: it turns bytes into the inputs of a model, and the
outputs of the model into bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Array
from service.catalog.served_version import ServedVersion
from service.inference.queue import Outputs
from service.wire.compression import compress, negotiate
from service.wire.image_header import ImageSize
from service.wire.image_reader import ImageReader
from service.wire.pieces import INLINE_BYTES

Headers = Mapping[bytes, bytes]
"""Headers of a request by lower-case name; of several with one name, the last."""

FindImages = Callable[[bytes], Iterable[ImageSize | None]]
"""Returns the sizes of the images in a body; None for one that states no size."""

_BYTES_PER_BYTE = 2
"""Of FP32 for each of JSON, whose shortest number and comma take two."""

JSON = (b"content-type", b"application/json")

_MIN_COMPRESSED_BYTES = 1 << 10

_HEAD_BYTES = 1 << 10
"""Of a body, in which it names its first input."""


class Call(NamedTuple):
    """What is known of a request before its body.

    Attributes:
        dialect: name of the dialect in which it is written.
        model: name of the model.
        version: None for the version that answers by default.
        headers: of the request.
        address: of the client.
        layer_statistics: whether the scores of each layer are asked for outside of the body.
    """

    dialect: str
    model: str
    version: int | None
    headers: Headers
    address: str
    layer_statistics: bool = False


class Query(NamedTuple):
    """A request body, decoded and checked.

    Attributes:
        inputs: every input of the model by name, shape (rows, ...).
        details: what the dialect needs to write the answer.
        priority: 1 is the highest, 0 takes no part in the order.
        timeout: seconds that the request may wait for its run.
        layer_statistics: whether the client asks how unusual each row is.
        request_id: that the client gave in the body; empty for none.
        row_versions: the version that has answered each row, shape (rows,); None where one answers all.
    """

    inputs: Mapping[str, Array]
    details: Any
    priority: int = 0
    timeout: float | None = None
    layer_statistics: bool = False
    request_id: str = ""
    row_versions: Array | None = None


class Answer(NamedTuple):
    """A successful answer.

    Attributes:
        headers: content type and length among them.
        body: all of it.
    """

    headers: list[tuple[bytes, bytes]]
    body: bytes


class RowScores(Protocol):
    """The observed graph of a version, for the scores of rows: `service.watching.observed_model`."""

    def score(self, inputs: Mapping[str, Array]) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
        """Each row's drift score, and the name of its most deviant layer, shape (rows,)."""

    def score_layers(self, inputs: Mapping[str, Array]) -> dict[str, NDArray[np.float64]]:
        """Each row's drift score in each layer, shape (rows,)."""


class Dialect(Protocol):
    """One way to write predictions."""

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:
        """Bytes of memory that decoding a body in a thread takes; 0 where it is short enough for the event loop."""

    @property
    def requires_scores(self) -> bool:
        """Whether layer statistics of a version that has none are an error, and not left out."""

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a body.

        Raises:
            InvalidInput: the body is not a request that this version can answer.
        """

    def may_have_priority(self, call: Call) -> bool:
        """Whether the body may state a priority, and is so small that looking for one costs little."""

    def has_priority(self, call: Call, body: bytes) -> bool:
        """Whether the body seems to state a priority. It is not decoded."""

    def score(self, observed: RowScores, inputs: Mapping[str, Array]) -> Outputs:
        """How unusual each row is, shape (rows,) each, under the names that `encode` expects."""

    def encode(
        self, served: ServedVersion, call: Call, query: Query, outputs: Outputs, scores: Outputs | None
    ) -> Answer:
        """Write an answer.

        Args:
            served: the version that ran.
            call, query: the request.
            outputs: of the model.
            scores: from `score`; None where they were not asked for, or there are none.
        """


class WithoutPriority:
    """The part of a dialect whose requests have no place for a priority."""

    def may_have_priority(self, call: Call) -> bool:  # noqa: ARG002
        """No."""
        return False

    def has_priority(self, call: Call, body: bytes) -> bool:  # noqa: ARG002
        """No."""
        return False


def memory_of_numbers(body: bytes) -> int:
    """Bytes that decoding tensors takes beside their body; 0 where that is short."""
    return _BYTES_PER_BYTE * len(body) if len(body) > INLINE_BYTES else 0


def memory_of_tensors(body: bytes, reader: ImageReader | None, find: FindImages, max_pixels: int) -> int:
    """Bytes that decoding tensors of numbers or images takes beside their body; 0 where that is short.

    Args:
        body: the request.
        reader: from `find_image_reader`.
        find: returns the sizes of the images in a body.
        max_pixels: of the largest image, and of all images of a request together.
    """
    numbers = memory_of_numbers(body)
    return numbers if reader is None else numbers + reader.decoding_bytes(find(body), max_pixels)


def find_image_reader(served: ServedVersion, body: bytes, mark: bytes, head: int = _HEAD_BYTES) -> ImageReader | None:
    """What reads the images of a body; None where the model takes none, or the head of the body does not name any.

    Args:
        served: the version that is to answer.
        body: the request.
        mark: what the head of a body with images has in it.
        head: bytes of the head. Requests with numbers are searched as well, so it is short.
    """
    reader = served.image_reader
    return reader if reader is not None and body.find(mark, 0, head) >= 0 else None


def json_answer(call: Call, body: bytes) -> Answer:
    """An answer in JSON."""
    return compressed_answer(call, [JSON], body)


def compressed_answer(call: Call, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
    """An answer, compressed where the client accepts that and it is worth it."""
    accepted = call.headers.get(b"accept-encoding")
    if accepted and len(body) >= _MIN_COMPRESSED_BYTES and (encoding := negotiate(str(accepted, "latin-1"))):
        body = compress(body, encoding)
        headers += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
    headers.append((b"content-length", b"%d" % len(body)))
    return Answer(headers, body)
