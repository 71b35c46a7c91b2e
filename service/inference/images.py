"""Predictions from images: a PNG or JPEG file in, the likeliest class and all probabilities out."""

from collections.abc import Mapping

import orjson

from models.capabilities import require
from models.classification import probabilities as to_probabilities
from models.datatypes import Array
from models.errors import InvalidInput
from service.catalog.served_version import ServedVersion
from service.inference.dialect import Answer, Call, Query, WithoutPriority, json_answer
from service.inference.queue import Outputs
from service.watching.observed_model import ObservedModel
from service.wire import images


class Images(WithoutPriority):
    """The dialect of image files, for models whose manifest has labels and a preprocessing.

    Args:
        max_pixels: width times height of the largest image that is decoded.
    """

    requires_scores = False

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """Of its pixels: a small file can hold an image that takes long to decode."""
        return images.decoding_bytes(body)

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a file as the manifest says."""
        manifest = served.manifest
        require(manifest, "images")
        if served.image_reader is None:
            raise InvalidInput("the model has inputs besides the image: send tensors to /infer", "model")
        rows = served.image_reader.read(1, [("body", body)], "body", max_pixels=self._max_pixels)
        return Query({manifest.inputs[0].name: rows}, None, layer_statistics=call.layer_statistics)

    def score(self, observed: ObservedModel, inputs: Mapping[str, Array]) -> Outputs:
        """The score of the image in each layer."""
        return observed.score_layers(inputs)

    def encode(
        self,
        served: ServedVersion,
        call: Call,
        query: Query,  # noqa: ARG002 - answers do not depend on what was asked
        outputs: Outputs,
        scores: Outputs | None,
    ) -> Answer:
        """Write an answer."""
        manifest = served.manifest
        labels = manifest.labels or ()
        scores_of_image = outputs[manifest.outputs[0].name].reshape(-1)
        if len(scores_of_image) != len(labels):
            raise InvalidInput(f"the model has {len(labels)} labels, and {len(scores_of_image)} scores", "body")
        probabilities = to_probabilities(scores_of_image, manifest.scores).tolist()
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        answer = {
            "model_name": served.model,
            "model_version": str(served.version),
            "label": labels[best],
            "probability": probabilities[best],
            "probabilities": [
                {"label": label, "probability": value} for label, value in zip(labels, probabilities, strict=True)
            ],
            "layers": None
            if scores is None
            else [{"name": name, "score": float(score[0])} for name, score in scores.items()],
        }
        return json_answer(call, orjson.dumps(answer))
