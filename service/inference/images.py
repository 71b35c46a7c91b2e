"""Predictions from images: a PNG or JPEG file in, the likeliest class and all probabilities out."""

from collections.abc import Mapping

import orjson

from models.classification import probabilities as to_probabilities
from models.datatypes import Array
from models.errors import InvalidInput
from service.catalog.served_version import ServedVersion
from service.inference.dialect import Answer, Call, Query, json_answer
from service.inference.queue import Outputs
from service.watching.observed_model import ObservedModel
from service.wire import images


class Images:
    """The dialect of image files, for models whose manifest has labels and a preprocessing.

    Args:
        max_pixels: width times height of the largest image that is decoded.
    """

    # A small file can hold an image that takes long to decode.
    decodes_in_thread = True
    requires_scores = False

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a file as the manifest says."""
        manifest = served.manifest
        if manifest.preprocessing is None or manifest.labels is None:
            raise InvalidInput(
                f"model '{served.model}' has no labels or no preprocessing in its manifest, so it reads no images: "
                "send tensors to /infer",
                "body",
            )
        spec = manifest.inputs[0]
        pixels = images.decode(body, manifest.preprocessing, self._max_pixels)
        row = {spec.name: pixels.reshape(1, *spec.shape[1:])}
        return Query(row, None, layer_statistics=call.layer_statistics)

    def score(self, observed: ObservedModel, inputs: Mapping[str, Array]) -> Outputs:
        """The score of the image in each layer."""
        return observed.score_layers(inputs)

    def encode(
        self,
        served: ServedVersion,
        call: Call,  # noqa: ARG002 - answers do not depend on the headers
        query: Query,  # noqa: ARG002 - nor on anything else that was asked
        outputs: Outputs,
        scores: Outputs | None,
    ) -> Answer:
        """Write an answer."""
        manifest = served.manifest
        labels = manifest.labels or ()
        scores_of_image = outputs[manifest.outputs[0].name][0]
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
        return json_answer(orjson.dumps(answer))
