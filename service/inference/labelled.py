"""Predictions from what people send: an image file or texts in, the likeliest class and all probabilities out."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from models.capabilities import require
from models.classification import probabilities as to_probabilities
from models.datatypes import Array
from models.errors import InvalidInput
from service.catalog.served_version import ServedVersion
from service.inference.dialect import Answer, Call, Query, RowScores, WithoutPriority, json_answer
from service.inference.queue import Outputs
from service.wire import image_header, texts
from service.wire.pieces import INLINE_BYTES

_BYTES_PER_CHARACTER = 16
"""Of a text while it is split: its normalized copies and its tokens."""

_CONTENT_TYPE = b"content-type"


class Labelled(WithoutPriority):
    """The dialect of image files and texts. The manifest says which of them a model takes.

    Args:
        max_pixels: width times height of the largest image that is decoded.
    """

    requires_scores = False

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def decoding_memory(self, served: ServedVersion, call: Call, body: bytes) -> int:  # noqa: ARG002
        """Of an image's pixels: a small file can hold one that takes long to decode. Of texts, if they are long."""
        if served.tokenizer is None:
            return image_header.decoding_bytes(body)
        return _BYTES_PER_CHARACTER * len(body) if len(body) > INLINE_BYTES else 0

    def decode(self, served: ServedVersion, call: Call, body: bytes) -> Query:
        """Read a file or texts as the manifest says."""
        name = served.manifest.inputs[0].name
        if served.tokenizer is not None:
            require(served.manifest, "text")
            found = texts.decode(body, call.headers.get(_CONTENT_TYPE, b""))
            rows = served.tokenizer.encode(found.values, "text")
            return Query({name: rows}, found.is_list, layer_statistics=call.layer_statistics)
        if texts.is_text(call.headers.get(_CONTENT_TYPE, b"")) and not image_header.is_image(body):
            require(served.manifest, "text")
        require(served.manifest, "images")
        if served.image_reader is None:
            raise InvalidInput("the model has inputs besides the image: send tensors to /infer", "model")
        rows = served.image_reader.read(1, [("body", body)], "body", max_pixels=self._max_pixels)
        return Query({name: rows}, details=False, layer_statistics=call.layer_statistics)

    def score(self, observed: RowScores, inputs: Mapping[str, Array]) -> Outputs:
        """The scores of the rows in each layer."""
        return observed.score_layers(inputs)

    def encode(
        self, served: ServedVersion, call: Call, query: Query, outputs: Outputs, scores: Outputs | None
    ) -> Answer:
        """Write an answer: one prediction, or for a list of texts as many."""
        manifest = served.manifest
        labels = manifest.labels or ()
        output = outputs[manifest.outputs[0].name]
        rows = output if served.is_batchable else output.reshape(1, -1)
        rows = rows.reshape(len(rows), -1)
        if rows.shape[1] != len(labels):
            raise InvalidInput(f"the model has {len(labels)} labels, and {rows.shape[1]} scores", "body")
        predictions = [
            _prediction(
                labels, row, None if scores is None else {name: found[number] for name, found in scores.items()}
            )
            for number, row in enumerate(to_probabilities(rows, manifest.scores).tolist())
        ]
        answer = {"model_name": served.model, "model_version": str(served.version)}
        is_list = query.details
        body = {**answer, "predictions": predictions} if is_list else {**answer, **predictions[0]}
        return json_answer(call, orjson.dumps(body))


def _prediction(labels: Sequence[str], probabilities: list[float], scores: Mapping[str, Any] | None) -> dict[str, Any]:
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    return {
        "label": labels[best],
        "probability": probabilities[best],
        "probabilities": [
            {"label": label, "probability": value} for label, value in zip(labels, probabilities, strict=True)
        ],
        "layers": None if scores is None else [{"name": name, "score": float(score)} for name, score in scores.items()],
    }
