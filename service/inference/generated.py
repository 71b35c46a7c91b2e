"""Images from a generator: a seed and a number of images in, a PNG file or the output tensors out."""

from collections.abc import Mapping

from models.capabilities import require
from models.datatypes import Array
from models.generation import sheet, square, to_pixels
from service.catalog.served_version import ServedVersion
from service.inference.dialect import JSON, Answer, Call, Query, RowScores, WithoutPriority, compressed_answer
from service.inference.queue import Outputs
from service.wire import generation

SEED = b"x-seed"
"""The header of the response with the seed."""

_PNG = (b"content-type", b"image/png")


class Generated(WithoutPriority):
    """The dialect of generated images. The manifest says how the input of a model is drawn.

    Args:
        max_pixels: of all images of a request together.
    """

    requires_scores = False

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """None: bodies are small."""
        return 0

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:  # noqa: ARG002
        """Draw the input."""
        require(served.manifest, "generation")
        if served.sampler is None or served.manifest.generation is None:
            raise AssertionError("a version with this capability has a sampler")
        image = served.manifest.generation.image
        request = generation.decode(body, image.height * image.width, self._max_pixels)
        rows = served.sampler.draw(request.seed, request.num_images, request.class_name)
        return Query({served.manifest.inputs[0].name: rows}, request.seed)

    def score(self, observed: RowScores, inputs: Mapping[str, Array]) -> Outputs:
        """The scores of the rows in each layer."""
        return observed.score_layers(inputs)

    def encode(
        self,
        served: ServedVersion,
        call: Call,
        query: Query,
        outputs: Outputs,
        scores: Outputs | None,  # noqa: ARG002
    ) -> Answer:
        """Write an answer: tensors for a client that accepts JSON and no PNG, else one PNG file."""
        seed = (SEED, b"%d" % query.details)
        accepted = call.headers.get(b"accept", b"")
        if served.manifest.generation is None or (b"application/json" in accepted and b"image/png" not in accepted):
            body = generation.encode_json(served.model, served.version, query.details, outputs)
            return compressed_answer(call, [JSON, seed], body)
        pixels = to_pixels(outputs[served.manifest.outputs[0].name], served.manifest.generation.image)
        body = generation.encode_png(sheet(pixels, square(len(pixels))))
        return Answer([_PNG, seed, (b"content-length", b"%d" % len(body))], body)
