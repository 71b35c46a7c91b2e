"""Requests for generated images, ``{"seed": 7, "count": 16, "class": "3"}``, and their answers."""

import secrets
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.datatypes import Array, from_numpy
from models.errors import TooLarge
from models.generation import MAX_SEED
from service.wire import json_writer
from service.wire.json_arrays import to_json
from service.wire.json_object import parse_object, require_integer, require_known, require_string

MAX_IMAGES = 1024
"""Of a request."""

_MEMBERS = ("seed", "count", "class")


class GenerationRequest(NamedTuple):
    """What is to be generated.

    Attributes:
        seed: of the noise; drawn at random where the request states none.
        num_images: how many.
        class_name: of every image. None for each class in turn.
    """

    seed: int
    num_images: int
    class_name: str | None


def decode(body: bytes, image_pixels: int, max_pixels: int) -> GenerationRequest:
    """Read a body: an object whose members are all optional, or nothing.

    Args:
        body: all of it.
        image_pixels: width times height of an image of the model.
        max_pixels: of all images together.

    Raises:
        TooLarge: there are more than `MAX_IMAGES` images, or they have more pixels.
        InvalidInput: the body is not of this form; the message names the member.
    """
    request = parse_object(body) if body else {}
    require_known(request, _MEMBERS)
    seed = require_integer(request.get("seed", secrets.randbelow(MAX_SEED + 1)), "seed", 0, MAX_SEED)
    count = require_integer(request.get("count", 1), "count", 1)
    if count > (most := max(1, min(MAX_IMAGES, max_pixels // image_pixels))):
        raise TooLarge(f"got {count} images, expected at most {most} in a request to this model", "count")
    class_name = require_string(request["class"], "class") if request.get("class") is not None else None
    return GenerationRequest(seed, count, class_name)


def encode_json(model: str, version: int, seed: int, outputs: Mapping[str, Array]) -> bytes:
    """The outputs of the model as tensors of the Open Inference Protocol, and the seed."""
    described: list[dict[str, Any]] = [
        {
            "name": name,
            "datatype": from_numpy(array.dtype),
            "shape": array.shape,
            "data": to_json(array.reshape(-1)),
        }
        for name, array in outputs.items()
    ]
    answer = {"model_name": model, "model_version": str(version), "parameters": {"seed": seed}, "outputs": described}
    return json_writer.dumps(answer)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of pixels of shape (height, width, channels), grey or RGB."""
    from PIL import Image  # noqa: PLC0415 - slow to import, and few models make images

    file = BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
